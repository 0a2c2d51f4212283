import { configKeys } from './config-schema.ts'
import { nearestName } from './nearest-name.ts'

export interface UnknownVariable {
  readonly name: string
  /** What was probably meant. */
  readonly nearest: string
}

const prefix = 'COMMANDERDB_'

/** Read elsewhere than in the config; the last one by children only. */
const others = ['COMMANDERDB_LOG_LEVEL', 'COMMANDERDB_TOKEN', 'COMMANDERDB_PREVIOUS_EXIT']

/** What Kubernetes sets in every container for a service that is called commanderdb. */
const ofService = /^COMMANDERDB_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_\w+)$/

/** Variables that look as if they were meant for the config, and are not. */
export function unknownVariables(env: Readonly<Record<string, string | undefined>>): readonly UnknownVariable[] {
  const known = new Set([...configKeys.map(({ variable }) => variable), ...others])
  return Object.entries(env).flatMap(([name, value = '']) => {
    if (!name.startsWith(prefix) || known.has(name) || value === '') return []
    if (ofService.test(name) || (name === `${prefix}PORT` && value.includes('://'))) return []
    return [{ name, nearest: nearestName(name, known) ?? '' }]
  })
}
