import type { QueueingOptions } from '../client/options.ts'
import { limits } from '../kernel/limits.ts'
import { parseDuration, parseInteger } from './arguments.ts'
import type { Flags } from './settings.ts'
import type { FlagDefinition } from './verb-definition.ts'

/** When a command is started, or a workflow. */
export const queueingFlags: readonly FlagDefinition[] = [
  { flag: '--priority <N>', help: `0 to ${limits.priorityMax}: before lower ones that wait in its queue; default 0` },
  { flag: '--delay <TIME>', help: 'not before so long from now, for example 250ms, 5s, 10m, 2h, 30d' },
]

/** @throws UsageError */
export function queueingOf(flags: Flags): QueueingOptions {
  const { priority, delay } = flags as { readonly priority?: string; readonly delay?: string }
  return {
    ...(priority === undefined ? {} : { priority: parseInteger('--priority', priority, 0, limits.priorityMax) }),
    ...(delay === undefined ? {} : { delayMs: parseDuration('--delay', delay, limits.delayMsMax) }),
  }
}

/** It can only be waited for until it is received, unless somebody asks for more. */
export const isPutOff = ({ delayMs = 0 }: QueueingOptions): boolean => delayMs > 0
