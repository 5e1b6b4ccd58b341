// Secrets of accounts are written the way all secrets are.
export { writeSecretFile } from '#shared/secret-file.ts';
