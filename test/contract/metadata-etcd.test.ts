import { afterAll, beforeAll } from 'vitest'
import { describeWithEtcd } from './describe-with-etcd.ts'
import { EtcdWorld } from './etcd-world.ts'
import { metadataStoreContract } from './metadata-store-contract.ts'

describeWithEtcd('with a real etcd', () => {
  let etcd: EtcdWorld
  let folders = 0

  beforeAll(async () => {
    etcd = await EtcdWorld.start(1)
  })
  afterAll(() => etcd.stop())

  metadataStoreContract('etcd', 3000, async () => {
    const folder = `test-${++folders}/`
    return { open: async () => etcd.open({ folder }), remove: async () => {} }
  })
})
