import { setTimeout as sleep } from 'node:timers/promises'
import { unreachable } from '../../../src/kernel/assert.ts'
import type { SeededRandom } from '../../../src/testing/seeded-random.ts'
import type { EtcdWorld } from '../../contract/etcd-world.ts'
import { takesPartAfter } from '../../process/cluster-world.ts'
import type { RunningDatabase } from '../../process/running-database.ts'
import { type ServerName, serverIds, type TorturedCluster } from './tortured-cluster.ts'

export const clusterFaults = [
  'kill -9 of the leading node',
  'kill -9 of the following node',
  'kill -9 of the leading journal writer',
  'SIGSTOP of the leading node past its lease',
  'kill -9 of a journal server',
  'SIGSTOP of a journal server',
  'kill -9 of two journal servers',
  'kill -9 of the leading node and a journal server',
  'kill -9 of a member of etcd',
  'loss of the majority of etcd',
  'loss of the majority of etcd, then of the leading node',
  'kill -9 of everything',
] as const

export type ClusterFault = (typeof clusterFaults)[number]

export interface ClusterScene {
  readonly cluster: TorturedCluster
  readonly etcd: EtcdWorld
  readonly random: SeededRandom
  /** Resolves once so many more commands were acknowledged. */
  readonly answers: (count: number) => Promise<void>
}

/** Enough to be sure that it goes on. */
const someAnswers = 50

/** Lets the fault happen, and resolves when its cause is over and everything was started again. */
export async function strikeCluster(fault: ClusterFault, scene: ClusterScene): Promise<void> {
  const { cluster, etcd, random, answers } = scene
  const { leader, follower } = await cluster.leader()
  switch (fault) {
    case 'kill -9 of the leading node':
      return restarted(leader, () => answers(someAnswers))
    case 'kill -9 of the following node':
      return restarted(follower, () => answers(someAnswers))
    case 'kill -9 of the leading journal writer':
      await leader.signal('journal-writer', 'SIGKILL')
      return
    case 'SIGSTOP of the leading node past its lease':
      return stopPastLease(scene)
    case 'kill -9 of a journal server':
      return withoutServers(scene, [random.pick(serverIds)], () => answers(someAnswers))
    case 'SIGSTOP of a journal server': {
      const { child } = cluster.server(random.pick(serverIds))
      child.kill('SIGSTOP')
      await answers(someAnswers)
      child.kill('SIGCONT')
      return
    }
    case 'kill -9 of two journal servers': {
      const left = random.pick(serverIds)
      const others = serverIds.filter((id) => id !== left)
      return withoutServers(scene, others, () => sleep(random.integer(0, 1000)))
    }
    case 'kill -9 of the leading node and a journal server':
      return withoutServers(scene, [random.pick(serverIds)], () => restarted(leader, () => answers(someAnswers)))
    case 'kill -9 of a member of etcd':
      return withoutMembers(etcd, [random.integer(0, 2)], () => answers(someAnswers))
    case 'loss of the majority of etcd':
      // Whoever leads goes on: nobody else can.
      return withoutMembers(etcd, twoOf(random), () => answers(4 * someAnswers))
    case 'loss of the majority of etcd, then of the leading node':
      await withoutMembers(etcd, twoOf(random), () => leader.killAll())
      await answers(someAnswers)
      return leader.start()
    case 'kill -9 of everything':
      return killEverything(scene)
    default:
      return unreachable(fault)
  }
}

async function restarted(node: RunningDatabase, meanwhile: () => Promise<void>): Promise<void> {
  await node.killAll()
  await meanwhile()
  await node.start()
}

/** It goes on when another one leads already: whatever it sends then must not count. */
async function stopPastLease({ cluster, answers }: ClusterScene): Promise<void> {
  const { leader, epoch } = await cluster.leader()
  const goOn = await leader.standStill()
  await cluster.leader(epoch)
  await answers(someAnswers)
  goOn()
  await takesPartAfter(leader, epoch)
}

async function withoutServers(
  { cluster }: ClusterScene,
  ids: readonly ServerName[],
  meanwhile: () => Promise<unknown>,
): Promise<void> {
  await Promise.all(ids.map((id) => cluster.server(id).kill()))
  await meanwhile()
  await Promise.all(ids.map((id) => cluster.startServer(id)))
}

async function withoutMembers(
  etcd: EtcdWorld,
  members: readonly number[],
  meanwhile: () => Promise<unknown>,
): Promise<void> {
  await Promise.all(members.map((member) => etcd.kill(member)))
  await meanwhile()
  await Promise.all(members.map((member) => etcd.restart(member)))
}

async function killEverything({ cluster, etcd }: ClusterScene): Promise<void> {
  const members = [0, 1, 2]
  await Promise.all([
    ...cluster.nodes.map((node) => node.killAll()),
    ...serverIds.map((id) => cluster.server(id).kill()),
    ...members.map((member) => etcd.kill(member)),
  ])
  await Promise.all(members.map((member) => etcd.restart(member)))
  await Promise.all(serverIds.map((id) => cluster.startServer(id)))
  for (const node of cluster.nodes) node.launch()
}

function twoOf(random: SeededRandom): readonly number[] {
  const left = random.integer(0, 2)
  return [0, 1, 2].filter((member) => member !== left)
}
