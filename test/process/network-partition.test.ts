import { afterEach, expect, it } from 'vitest'
import { etcdRefusal } from '../contract/etcd-world.ts'
import { RecordedClients } from '../torture/cluster/recorded-clients.ts'
import { takesPartAfter } from './cluster-world.ts'
import { namespaceRefusal } from './network-namespaces.ts'
import { PartitionedCluster } from './partitioned-cluster.ts'
import { until } from './running-database.ts'

const refusal = namespaceRefusal() ?? etcdRefusal()
let cluster: PartitionedCluster | undefined
let load: RecordedClients | undefined

afterEach(async () => {
  load?.abandon()
  await cluster?.remove()
  cluster = undefined
})

/** Cuts a leading node off in one direction until the other one serves, heals, and goes on. */
async function partition(world: PartitionedCluster, cut: 'deafen' | 'silence'): Promise<void> {
  const { network, clients } = world
  const { leader, follower, epoch } = await world.leader()
  network[cut](world.nameOf(leader))
  // The clients that there are stay with the node that was cut off, whose gateway answers: only new ones find the other.
  await until(`the other node to lead and serve (${cut})`, async () => {
    const witness = await clients.connect([follower])
    const call = witness.execute('ledger', 'witness', 'refuse', { n: -1, amount: 0 }, { timeoutMs: 2000 })
    return call.then(
      ({ outcome }) => outcome === 'rejected',
      () => false,
    )
  })
  network.heal()
  await takesPartAfter(leader, epoch)
}

it('a cluster over TCP goes on without a leading node that hears nobody, or that nobody hears, and takes it back', async (context) => {
  if (refusal !== null) return context.skip(refusal)
  cluster = new PartitionedCluster()
  load = new RecordedClients(1)
  await cluster.start()
  load.start(await cluster.clients.connections())
  await load.more(30)

  // One server that answers, and is not heard by whoever leads; and one that is slow.
  const { leader } = await cluster.leader()
  cluster.network.drop('s1', cluster.nameOf(leader))
  await load.more(30)
  cluster.network.heal()
  const undelayed = cluster.network.delay('s2', 40)
  if (undelayed !== null) process.stdout.write(`skipped: ${undelayed}\n`)
  await load.more(30)

  for (const cut of ['deafen', 'silence'] as const) {
    await partition(cluster, cut)
    await load.more(30)
  }
  await load.pause()
  expect(load.violations).toEqual([])
  expect(await cluster.clients.check(load)).toEqual([])
})
