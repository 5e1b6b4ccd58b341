// An authoritative server of scripted zones: what a zone file would hold, by name and type. A name with other records only is
// "no data", one without any does not exist; SERVFAIL and silence can be asked for. Long answers come over TCP alone.
import { Packet } from 'dns2';
import type { Resource } from 'dns2';
import { recordTypes } from '../../../../agent/probe/dns-message.ts';
import type { RecordType } from '../../../../agent/probe/dns-message.ts';
import { answerTo, framed, startDnsServer } from '../dns-server.ts';
import type { DnsServer } from '../dns-server.ts';

export type Records = Readonly<Partial<Record<RecordType, readonly string[]>>>;
/** By name, in lower case. `SERVFAIL`, `SILENCE`: what the server does when the name is asked. */
export type Zones = Readonly<Record<string, Records | 'SERVFAIL' | 'SILENCE'>>;
type Owner = { readonly after: (work: () => Promise<void>) => void };

const mostUdpBytes = 512;

export function startZoneServer(owner: Owner, zones: Zones): Promise<DnsServer> {
  const answer = (query: Buffer): Buffer | undefined => {
    const [question] = Packet.parse(query).questions;
    const name = question?.name.toLowerCase() ?? '';
    const type = (Object.keys(recordTypes) as RecordType[]).find((one) => recordTypes[one] === question?.type); // its keys
    const zone = Object.hasOwn(zones, name) ? zones[name] : undefined;
    if (zone === 'SILENCE') return undefined;
    if (zone === 'SERVFAIL') return answerTo(query, { rcode: 2 });
    if (zone === undefined) {
      const exists = Object.keys(zones).some((other) => other.endsWith('.' + name));
      return answerTo(query, { rcode: exists ? 0 : 3 });
    }
    return answerTo(query, { records: type === undefined ? [] : follow(zones, name, type) });
  };
  return startDnsServer(owner, {
    udp: (query) => {
      const bytes = answer(query);
      if (bytes === undefined) return [];
      return [bytes.length > mostUdpBytes ? answerTo(query, { truncated: true }) : bytes];
    },
    tcp: (query) => {
      const bytes = answer(query);
      return bytes === undefined ? undefined : [framed(bytes)];
    },
  });
}

type Made = Partial<Resource> & { readonly type: number };

/** With the alias that leads there, as a resolver gives it. */
function follow(zones: Zones, name: string, type: RecordType): readonly Made[] {
  const zone = zones[name];
  if (zone === undefined || typeof zone === 'string') return [];
  const own = (zone[type] ?? []).map((value) => ({ ...make(type, value), name }));
  const [alias] = type === 'CNAME' ? [] : (zone.CNAME ?? []);
  return alias === undefined ? own : [{ ...make('CNAME', alias), name }, ...follow(zones, alias.toLowerCase(), type)];
}

function make(type: RecordType, value: string): Made {
  const number = recordTypes[type];
  switch (type) {
    case 'A':
    case 'AAAA':
      return { type: number, address: value };
    case 'MX': {
      const [priority, exchange = ''] = value.split(' ');
      return Object.assign(
        { type: number },
        { priority: Number(priority), exchange: exchange === '.' ? '' : exchange },
      );
    }
    case 'TXT':
      // As name servers must: strings of at most 255 bytes.
      return { type: number, data: value.match(/[^]{1,255}/g) ?? [''] };
    case 'NS':
      return Object.assign({ type: number }, { ns: value });
    default:
      return { type: number, domain: value };
  }
}
