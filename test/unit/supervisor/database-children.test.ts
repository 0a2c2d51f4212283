import { expect, it } from 'vitest'
import { orderChildren, restartDefaults } from '../../../src/supervisor/child-specification.ts'
import { databaseChildren, type SupervisedConfig } from '../../../src/supervisor/database-children.ts'

const restart = { maxRestarts: 3, periodMs: 4, initialDelayMs: 5, maxDelayMs: 6 }
const resources = { restart, shutdownMs: 7, nice: 8 }
const config: SupervisedConfig = {
  dataDir: '/data',
  applications: [
    { module: '/bank.ts', instances: 2, resources },
    { module: '/shop.ts', instances: 1, resources: { ...resources, maxRssMb: 9 } },
  ],
  processes: { journalWriter: resources, dispatcher: resources, projectionApplier: resources, gateway: resources },
  replication: {
    journal: 'local',
    nodeId: null,
    metadata: null,
    servers: 0,
    serverBytes: 2 ** 50,
    serversOnly: false,
    master: true,
    policy: { replicas: 3, ackQuorum: 2, topology: 'fanout' },
    sparesMin: null,
    sparesMax: 16,
    serverSilenceMs: 10_000,
    leaseMs: 2_000,
    listen: '127.0.0.1:7500',
    tls: null,
    dev: false,
  },
}

const children = databaseChildren({
  config,
  databaseId: 'id',
  applicationNames: ['bank', 'shop'],
  programOf: (role) => `/processes/${role}.ts`,
})

it('starts the writer, then what follows it, then the applications, then the gateway', () => {
  expect(orderChildren(children).map(({ name }) => name)).toEqual([
    'journal-writer',
    'dispatcher',
    'projection-applier',
    'application-bank-1',
    'application-bank-2',
    'application-shop-1',
    'gateway',
  ])
  expect(Object.fromEntries(children.map(({ name, after }) => [name, after]))).toMatchObject({
    dispatcher: ['journal-writer'],
    'projection-applier': ['journal-writer'],
    'application-bank-2': ['dispatcher', 'projection-applier'],
    gateway: ['dispatcher', 'projection-applier', 'application-bank-1', 'application-bank-2', 'application-shop-1'],
  })
})

it('takes everything but the applications for essential', () => {
  expect(children.filter(({ essential }) => !essential).map(({ role }) => role)).toEqual([
    'application',
    'application',
    'application',
  ])
})

it('hands the config over and tells each application process who it is', () => {
  expect(children[0]).toMatchObject({
    module: '/processes/journal-writer.ts',
    config: { config, databaseId: 'id' },
    resources: { maxSemiSpaceMb: 2, nice: 8 },
    restart: { ...restartDefaults, ...restart },
    shutdownMs: 7,
  })
  expect(children[4]).toMatchObject({
    module: '/processes/application.ts',
    config: { config, databaseId: 'id', application: { name: 'bank', module: '/bank.ts', instance: 2, instances: 2 } },
  })
  expect(children[5]?.resources).toEqual({ maxSemiSpaceMb: 16, nice: 8, maxRssMb: 9 })
})
