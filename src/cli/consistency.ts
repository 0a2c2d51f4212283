import type { ReadFreshness } from '../client/options.ts'
import type { Flags } from './settings.ts'
import type { FlagDefinition } from './verb-definition.ts'

export const consistencyFlag: FlagDefinition = {
  flag: '--consistency <WHAT>',
  help: 'known (default): what the node has; linearizable: all that any node has acknowledged by now',
  choices: ['known', 'linearizable'],
}

export const freshnessOf = (flags: Flags): ReadFreshness => {
  const { consistency } = flags as ReadFreshness
  return consistency === undefined ? {} : { consistency }
}
