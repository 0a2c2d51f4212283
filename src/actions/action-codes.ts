/**
 * The number of each action on disk, one byte. Numbers are never changed or reused.
 * 64 to 95 belong to workflows; 96 to 127 to the replicated journal.
 */
export const actionCodes = {
  'command/received': 1,
  'command/started': 2,
  'command/completed': 3,
  'command/rejected': 4,
  'command/failed': 5,
  'command/parked': 6,
  'command/retried': 7,
  'command/skipped': 8,
  'stream/migrated': 16,
  'stream/archived': 17,
  'stream/closed': 18,
  'stream/deleted': 19,
  'stream/migration-finalised': 20,
  'stream/migration-abandoned': 21,
  'idempotency-key/expired': 24,
  'idempotency-key/deleted': 25,
  'application/registered': 32,
  'application/seen': 33,
  'application/deregistered': 34,
  'aggregate/unassigned': 35,
  'checkpoint/started': 40,
  'checkpoint/completed': 41,
  'workflow/advanced': 64,
  'workflow/resumed': 65,
  'schedule/fired': 66,
  'journal/epoch-started': 96,
} as const

export type ActionType = keyof typeof actionCodes
export type ActionCode = (typeof actionCodes)[ActionType]

const typesByCode: readonly (ActionType | undefined)[] = Object.entries(actionCodes).reduce<(ActionType | undefined)[]>(
  (table, [type, code]) => {
    table[code] = type as ActionType
    return table
  },
  new Array(256).fill(undefined),
)

/** The action type of a code, or undefined for a code that this version does not know. */
export const actionTypeOf = (code: number): ActionType | undefined => typesByCode[code]
