import { workflowStatuses } from '../workflows/workflow-view.ts'
import { queueingFlags } from './queueing.ts'
import type { FlagDefinition, VerbDefinition } from './verb-definition.ts'

const workflowArgument = ['<NAME/ID>', 'for example order/17'] as const
const awakeableArgument = ['<AWAKEABLE>', 'as the workflow handed it out'] as const
const wait: FlagDefinition = {
  flag: '--wait',
  help: 'wait for its end, for --timeout at most; exit code 1 where it did not complete',
}
const key: FlagDefinition = {
  flag: '--idempotency-key <KEY>',
  help: 'the same key with the same call takes effect once',
}

/** What can be done with workflows, and what is known of when they are started. @param ofDatabase flags that say which database */
export const workflowVerbs = (ofDatabase: readonly FlagDefinition[]): readonly VerbDefinition[] => [
  {
    path: 'workflow start',
    help: 'start a workflow; again with the same id and input it is the same one',
    arguments: [workflowArgument, ['[JSON]', 'its input; - reads standard input']],
    flags: [wait, key, ...queueingFlags, ...ofDatabase],
    load: async () => (await import('./workflow.ts')).start,
  },
  {
    path: 'workflow get',
    help: 'how far a workflow is, what it did and what it waits for',
    arguments: [workflowArgument],
    flags: [wait, ...ofDatabase],
    load: async () => (await import('./workflow.ts')).get,
  },
  {
    path: 'workflow list',
    help: 'the workflows of one name, or of all, by their ids',
    arguments: [['[NAME]', 'of the workflow; default: all']],
    flags: [
      { flag: '--status <STATUS>', help: 'only those', choices: workflowStatuses },
      { flag: '--limit <N>', help: 'at most so many; default 100' },
      { flag: '--after <ID>', help: 'go on after this one; without a name NAME/ID' },
      ...ofDatabase,
    ],
    load: async () => (await import('./workflow.ts')).listWorkflows,
  },
  {
    path: 'workflow signal',
    help: 'send a signal to a workflow',
    arguments: [workflowArgument, ['<SIGNAL>', 'its name'], ['[JSON]', 'what goes with it; - reads standard input']],
    flags: [key, ...ofDatabase],
    load: async () => (await import('./workflow.ts')).signal,
  },
  {
    path: 'workflow cancel',
    help: 'tell a workflow to undo what it did, and to end',
    arguments: [workflowArgument],
    flags: [
      { flag: '--reason <TEXT>', help: 'kept in its history' },
      {
        flag: '--force',
        help: 'end it at once: nothing is undone, and its code is not asked; for one that stays parked',
      },
      ...ofDatabase,
    ],
    load: async () => (await import('./workflow.ts')).cancel,
  },
  {
    path: 'workflow retry',
    help: 'have a parked workflow go on',
    arguments: [workflowArgument],
    flags: ofDatabase,
    load: async () => (await import('./workflow.ts')).retry,
  },
  {
    path: 'workflow resolve',
    help: 'answer a workflow that waits for a callback',
    arguments: [awakeableArgument, ['[JSON]', 'the value that it gets; - reads standard input']],
    flags: ofDatabase,
    load: async () => (await import('./workflow.ts')).resolve,
  },
  {
    path: 'workflow reject',
    help: 'answer a workflow that waits for a callback with an error',
    arguments: [awakeableArgument, ['<MESSAGE>', 'what went wrong']],
    flags: ofDatabase,
    load: async () => (await import('./workflow.ts')).reject,
  },
  {
    path: 'schedule list',
    help: 'all schedules, with the next and the last time of each',
    flags: ofDatabase,
    load: async () => (await import('./queueing-lists.ts')).listSchedules,
  },
  {
    path: 'queue list',
    help: 'partitions of queues: what waits in them, what runs, and their limits',
    flags: ofDatabase,
    load: async () => (await import('./queueing-lists.ts')).listQueues,
  },
]
