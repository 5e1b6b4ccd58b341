// A certificate authority of one test, and a certificate for the loopback names signed by it.
import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export type Certificate = {
  readonly caFile: string;
  /** PEM text of the authority. */
  readonly ca: string;
  readonly keyFile: string;
  readonly certFile: string;
};

/** `names`: DNS names and IPv4 addresses of the certificate. */
export async function createCertificate(options: {
  readonly folder: string;
  readonly names: readonly string[];
}): Promise<Certificate> {
  const { folder, names } = options;
  await mkdir(folder, { recursive: true });
  const file = (name: string): string => join(folder, name);
  const openssl = async (args: readonly string[]): Promise<void> => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await promisify(execFile)('openssl', ['req', '-x509', ...key, '-days', '2', ...args]);
  };
  const caFiles = ['-keyout', file('ca-key.pem'), '-out', file('ca.pem')];
  await openssl([...caFiles, '-subj', '/CN=mailferry test authority', '-addext', 'keyUsage=critical,keyCertSign']);
  const subject = '/CN=' + (names[0] ?? 'localhost');
  const alternatives = names.map((name) => (/^[0-9.]+$/.test(name) ? 'IP:' : 'DNS:') + name).join(',');
  const signedBy = ['-CA', file('ca.pem'), '-CAkey', file('ca-key.pem')];
  const extensions = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'subjectAltName=' + alternatives];
  const files = ['-keyout', file('key.pem'), '-out', file('cert.pem')];
  await openssl([...files, '-subj', subject, ...signedBy, ...extensions]);
  const ca = await readFile(file('ca.pem'), 'utf8');
  return { caFile: file('ca.pem'), ca, keyFile: file('key.pem'), certFile: file('cert.pem') };
}
