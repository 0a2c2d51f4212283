import { configKeys } from '../sdk/config-schema.ts'
import type { FlagDefinition, VerbDefinition } from './verb-definition.ts'

/** Where the metadata store is, and with what certificate the journal servers are asked, as `start` takes them. */
const placeKeys: ReadonlySet<string> = new Set([
  'replication.metadata',
  'replication.clusterId',
  'replication.tls.ca',
  'replication.tls.cert',
  'replication.tls.key',
])

const ofPlace: readonly FlagDefinition[] = configKeys.flatMap(({ path, flag, help }) =>
  flag !== undefined && placeKeys.has(path)
    ? [{ flag: `${flag} <${path.startsWith('replication.tls') ? 'PATH' : 'TEXT'}>`, help }]
    : [],
)

const hostHelp = 'on the host of --data-dir, whose supervisor must run'

/** What an operator does with a cluster. @param ofDirectory flags that say which node's */
export const clusterVerbs = (ofDirectory: readonly FlagDefinition[]): readonly VerbDefinition[] => {
  const flags = [...ofPlace, ...ofDirectory]
  return [
    {
      path: 'cluster status',
      help: 'who leads, what is committed, how far nodes and journal servers are',
      flags,
      load: async () => (await import('./cluster.ts')).status,
    },
    {
      path: 'cluster servers',
      help: 'the registered journal servers, and their segments',
      flags,
      load: async () => (await import('./cluster.ts')).servers,
    },
    {
      path: 'cluster begin',
      help: 'make a cluster of a database that keeps its journal alone, and is stopped; it becomes the first node',
      flags,
      load: async () => (await import('./cluster-begin.ts')).begin,
    },
    {
      path: 'cluster provision',
      help: `start so many more journal servers ${hostHelp}; they are started again with it`,
      arguments: [['<N>', 'how many']],
      flags,
      load: async () => (await import('./cluster-servers.ts')).provision,
    },
    {
      path: 'cluster deprovision',
      help: 'take a journal server out of the cluster, others get what it holds, and end it for good where it runs on the host of --data-dir',
      arguments: [['<ID>', 'of the journal server']],
      flags,
      load: async () => (await import('./cluster-servers.ts')).deprovision,
    },
    {
      path: 'cluster seal',
      help: 'end the open segment of the journal, and begin another one',
      flags,
      load: async () => (await import('./cluster-change.ts')).seal,
    },
    {
      path: 'cluster promote',
      help: 'let another node lead; nothing that was acknowledged is lost',
      arguments: [['<NODE>', 'its --node-id']],
      flags,
      load: async () => (await import('./cluster-change.ts')).promote,
    },
    {
      path: 'cluster reconfigure',
      help: 'keep the journal on other journal servers, or by another policy, from now on; what is not given stays',
      flags: [
        { flag: '--group <a,b,c>', help: 'ids of the journal servers, as many as there are replicas' },
        { flag: '--replicas <N>', help: 'journal servers that keep each segment' },
        { flag: '--ack-quorum <M>', help: 'of them so many have flushed an entry before it is acknowledged' },
        { flag: '--topology <WHAT>', help: 'who sends to them', choices: ['fanout', 'chain'] },
        ...flags,
      ],
      load: async () => (await import('./cluster-change.ts')).reconfigure,
    },
  ]
}
