import { describe, expect, it } from 'vitest'
import { databaseChildren } from '../../../src/supervisor/database-children.ts'
import {
  firstServers,
  journalMasterChild,
  journalServerChild,
  nodeAddress,
  type SupervisedReplication,
  serverAddress,
} from '../../../src/supervisor/replication-children.ts'

const replication: SupervisedReplication = {
  journal: 'replicated',
  nodeId: 'n',
  metadata: 'file:/m',
  policy: { replicas: 3, ackQuorum: 2, topology: 'fanout' },
  serverBytes: 1_073_741_824,
  servers: 2,
  serversOnly: true,
  master: true,
  sparesMin: null,
  sparesMax: 16,
  serverSilenceMs: 10_000,
  leaseMs: 2_000,
  listen: '10.0.0.1:7500',
  tls: null,
  dev: false,
}
const secure = { ...replication, tls: { ca: 'ca', cert: 'cert', key: 'key' } }
const programOf = (role: string): string => `/processes/${role}.ts`
const resources = { restart: { maxRestarts: 3, periodMs: 4, initialDelayMs: 5, maxDelayMs: 6 }, shutdownMs: 7 }
const processes = { journalServer: { ...resources, maxOldSpaceMb: 64 }, journalMaster: { ...resources, nice: 8 } }
const options = { dataDir: '/data', replication, processes, clusterId: 'id', programOf }

describe('the processes of a host of a cluster', () => {
  it('are reached by sockets, or behind the port of the host, each at its slot', () => {
    expect(nodeAddress(replication, '/data')).toBe('/data/run/node.sock')
    expect(nodeAddress(secure, '/data')).toBe('tls://10.0.0.1:7500')
    expect(serverAddress(replication, '/data/servers/n-1', 1)).toBe('/data/servers/n-1/run/server.sock')
    expect(serverAddress(secure, '/data/servers/n-2', 2)).toBe('tls://10.0.0.1:7502')
    const free = { ...secure, listen: '10.0.0.1:0' }
    expect(() => serverAddress(free, '/data/servers/n-1', 1)).toThrow(
      expect.objectContaining({ code: 'invalid_config' }),
    )
  })

  it('are journal servers and a master that take nothing down, and no database where there is to be none', () => {
    expect(firstServers(replication)).toEqual(['n-1', 'n-2'])
    expect(journalServerChild({ ...options, replication: secure }, 'n-1', '/data/servers/n-1', 1)).toMatchObject({
      name: 'journal-server-n-1',
      module: '/processes/journal-server.ts',
      essential: false,
      config: {
        serverId: 'n-1',
        clusterId: 'id',
        dataDir: '/data/servers/n-1',
        listen: 'tls://10.0.0.1:7501',
        tls: secure.tls,
      },
    })
    expect(journalMasterChild(options)).toMatchObject({ name: 'journal-master', essential: false, after: [] })
    const ofDatabase = {
      journalWriter: resources,
      dispatcher: resources,
      projectionApplier: resources,
      gateway: resources,
    }
    const config = { dataDir: '/data', applications: [], processes: ofDatabase, replication }
    expect(databaseChildren({ config, databaseId: 'id', applicationNames: [], programOf })).toEqual([])
  })

  it('get what the config grants them', () => {
    expect(journalServerChild(options, 'n-1', '/data/servers/n-1', 1)).toMatchObject({
      resources: { maxSemiSpaceMb: 1, maxOldSpaceMb: 64 },
      restart: resources.restart,
      shutdownMs: 7,
    })
    expect(journalMasterChild(options)).toMatchObject({
      resources: { maxSemiSpaceMb: 16, nice: 8 },
      restart: resources.restart,
    })
  })
})
