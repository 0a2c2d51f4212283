import { afterEach, expect, it } from 'vitest'
import { etcdRefusal } from '../contract/etcd-world.ts'
import type { ClusterFault } from '../torture/cluster/cluster-faults.ts'
import { ClusterTorture } from '../torture/cluster/cluster-torture.ts'
import { emptyResult } from '../torture/torture.ts'

/** Another one each day would find more and tell less: `npm run torture -- --cluster` is for that. */
const seed = 1
const faults: readonly ClusterFault[] = [
  'kill -9 of the leading node',
  'SIGSTOP of the leading node past its lease',
  'kill -9 of a member of etcd',
  'loss of the majority of etcd',
  'kill -9 of a journal server',
]

let torture: ClusterTorture | undefined
afterEach(async () => {
  await torture?.remove()
  torture = undefined
})

it('two nodes on three journal servers and three members of etcd lose nothing, repeat nothing and keep its order', async (context) => {
  const refusal = etcdRefusal()
  if (refusal !== null) return context.skip(refusal)
  const result = emptyResult(seed)
  torture = await ClusterTorture.create(seed, result)
  await torture.start()
  for (const fault of faults) await torture.cycle(fault)
  await torture.finish()
  expect(result.violations).toEqual([])
  expect(result).toMatchObject({ cycles: faults.length, lost: 0, duplicated: 0 })
  expect(result.acknowledged).toBeGreaterThan(100 * faults.length)
})
