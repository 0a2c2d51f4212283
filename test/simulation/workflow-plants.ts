import { RequestDesk } from '../../src/application/request-desk.ts'
import { WorkflowDrafts } from '../../src/application/workflow-drafts.ts'
import { WorkflowRunner } from '../../src/application/workflow-runner.ts'
import { Resumption } from '../../src/dispatcher/resumption.ts'
import { TimerQueue } from '../../src/dispatcher/timer-queue.ts'
import type { Lsn } from '../../src/kernel/identifiers.ts'
import { TokenGuard } from '../../src/state/token-guard.ts'
import { all, type Plant, replace } from './plants.ts'

/** Mistakes that somebody could make in running workflows. */
export const workflowPlants: readonly Plant[] = [
  {
    name: 'a result that is recorded twice',
    finds: /two results|is at revision|does not match its history|liveness|answered/,
    plant: () =>
      replace<[object, { length: number; [i: number]: { event: { type: string } } }[], ...unknown[]]>(
        WorkflowDrafts,
        'add',
        (original) =>
          function add(this: WorkflowDrafts, aggregate, changes, ...rest): void {
            const [first] = changes as unknown as { event: { type: string } }[]
            const isResult = first?.event.type === 'request/completed'
            if (isResult) (aggregate as { revision: number }).revision++
            original.call(this, aggregate, isResult ? ([first, ...changes] as never) : changes, ...rest)
          },
      ),
  },
  {
    name: 'an effect that begins before its entry is flushed',
    finds: /was not flushed/,
    plant: () =>
      replace<[unknown, Lsn]>(
        RequestDesk,
        'written',
        (original) =>
          function written(this: RequestDesk, step, at): void {
            original.call(this, step, at)
            this.flushedUpTo(at)
          },
      ),
  },
  {
    name: 'a timer that a restart loses',
    finds: /liveness/,
    plant: () => replace(TimerQueue, 'refill', () => () => {}),
  },
  {
    name: 'a process that works on under an assignment that is over',
    finds: /is at revision|two results|does not match|liveness|was not flushed|was recorded by|goes on behind/,
    plant: () =>
      all(
        replace(TokenGuard, 'admits', () => () => true),
        replace(WorkflowRunner, 'abandonAll', () => () => {}),
      ),
  },
  {
    name: 'a dispatcher that forgets who has something to do',
    finds: /liveness|is active since/,
    plant: () =>
      replace(Resumption, 'take', () => () => ({ byInstance: new Map(), poisonous: [], cleared: new Set() })),
  },
]
