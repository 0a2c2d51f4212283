import { defineConfig } from 'commanderdb'

defineConfig({})
defineConfig({
  dataDir: './data',
  http: { host: '127.0.0.1', port: 0 },
  applications: [{ module: './bank.ts', instances: 2, resources: { nice: 5, restart: { maxRestarts: 3 } } }],
  journal: { segmentBytes: 16_777_216, durability: 'written' },
  processes: { gateway: { cpus: [0, 1], env: { DEBUG: '1' }, nodeOptions: ['--trace-gc'] } },
  limits: { payloadBytes: 65_536 },
  archive: { s3: { bucket: 'backups', forcePathStyle: true } },
  security: { tokens: [{ name: 'shop', sha256: '00', scopes: ['send', 'read'] }] },
})
defineConfig({
  replication: { journal: 'replicated', nodeId: 'a', metadata: 'etcd://a:2379', policy: { replicas: 5, ackQuorum: 3 } },
})
defineConfig({ http: false })
defineConfig({ http: { port: false } })

// @ts-expect-error: unknown key
defineConfig({ journal: { segmentByte: 1 } })
// @ts-expect-error: not a choice
defineConfig({ journal: { durability: 'maybe' } })
// @ts-expect-error: wrong type
defineConfig({ http: { port: '7400' } })
// @ts-expect-error: an application has a module
defineConfig({ applications: [{ instances: 1 }] })
// @ts-expect-error: not a scope
defineConfig({ security: { tokens: [{ name: 'shop', sha256: '00', scopes: ['write'] }] } })
// @ts-expect-error: not a choice
defineConfig({ replication: { journal: 'raft' } })
// @ts-expect-error: a bucket is needed
defineConfig({ archive: { s3: { prefix: 'x' } } })
