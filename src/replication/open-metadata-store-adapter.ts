import type { Clock, Random, Scheduler } from '../kernel/environment.ts'
import { CommanderError } from '../kernel/errors.ts'
import { type EtcdTls, HttpEtcdGateway } from './etcd-gateway-adapter.ts'
import { EtcdMetadataStore } from './etcd-metadata-store.ts'
import { FileMetadataStore } from './file-metadata-store.ts'
import type { MetadataStore } from './metadata-store.ts'

/** Where a metadata store is, as the config says it. */
export type MetadataLocation =
  | { readonly kind: 'file'; readonly directory: string }
  | { readonly kind: 'etcd'; readonly members: readonly string[]; readonly isSecure: boolean; readonly folder: string }

const folderDefault = 'commanderdb'
const memberPattern = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?$/

/**
 * @param place - `file:DIRECTORY`, or `etcd://HOST:PORT[,HOST:PORT…][/FOLDER]`, or the same with `etcds:` for TLS. All
 *   members of etcd that are named are of one cluster; the port defaults to 2379, the folder to `commanderdb`.
 * @throws CommanderError `invalid_config`
 */
export function metadataLocationOf(place: string): MetadataLocation {
  if (place.startsWith('file:') && place.length > 'file:'.length)
    return { kind: 'file', directory: place.slice('file:'.length).replace(/^\/\/(?=\/)/, '') }
  const [, scheme, hosts = '', path = ''] = /^(etcds?):\/\/([^/]+)(?:\/(.*))?$/.exec(place) ?? []
  const members = hosts.split(',')
  if (scheme === undefined || !members.every((member) => memberPattern.test(member))) {
    const forms = 'file:DIRECTORY or etcd://HOST:PORT,HOST:PORT (etcds:// for TLS)'
    throw new CommanderError('invalid_config', `the metadata store is ${JSON.stringify(place)}; it must be ${forms}`)
  }
  const name = path.replace(/\/+$/, '')
  return { kind: 'etcd', members, isSecure: scheme === 'etcds', folder: `${name === '' ? folderDefault : name}/` }
}

/**
 * Nothing is asked of etcd yet.
 * @param tls - for `etcds:`. Default: what the system trusts, and no certificate of our own.
 * @throws CommanderError `invalid_config`; `metadata_unavailable` where a directory cannot be used
 */
export async function openMetadataStore(
  place: string,
  world: { readonly clock: Clock; readonly scheduler: Scheduler; readonly random: Random },
  tls: EtcdTls = {},
): Promise<MetadataStore> {
  const at = metadataLocationOf(place)
  const { clock, scheduler, random } = world
  if (at.kind === 'file') return FileMetadataStore.open({ directory: at.directory, clock, scheduler, random })
  const gateway = new HttpEtcdGateway(at.members, at.isSecure ? tls : null)
  return new EtcdMetadataStore({ gateway, folder: at.folder, location: place, clock, scheduler, random })
}
