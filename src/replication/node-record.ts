/** What the processes of a node have agreed on as their state, after the last entries at which they were compared. */
export interface NodeStates {
  /** Only states of the same form can be compared. */
  readonly form: number
  readonly points: readonly { readonly lsn: number; readonly hash: string }[]
}

/** A node of the database as it says that it is there, under a key that goes with its lease. */
export interface NodeRecord {
  readonly id: string
  readonly incarnation: string
  /** Where other nodes reach it. */
  readonly address: string
  readonly host: string
  /** Where its gateway listens, for clients on its host. */
  readonly socket: string
  /** Where it serves HTTP; null where it does not. */
  readonly url: string | null
  /** The end of what it has of the stream, now and then. */
  readonly end: number
  /** It may need everything behind this entry again, to start from its store. */
  readonly keepAfter: number
  /** Where it archives the stream when it leads; absent where it does not. */
  readonly archive?: string
  /** Development: it takes groups of which members share a device. */
  readonly mayShareDevice: boolean
  /** Absent from a node of a version that did not say it. */
  readonly states?: NodeStates
}

export const encodeNode = (record: NodeRecord): string => JSON.stringify(record)

/** null: it is none. */
export function decodeNode(text: string): NodeRecord | null {
  try {
    const record = JSON.parse(text) as Partial<NodeRecord> | null
    const isWhole =
      ['id', 'incarnation', 'address', 'host', 'socket'].every(
        (name) => typeof record?.[name as keyof NodeRecord] === 'string',
      ) &&
      Number.isSafeInteger(record?.end) &&
      Number.isSafeInteger(record?.keepAfter)
    if (!isWhole) return null
    const { states, ...rest } = record as NodeRecord
    return { ...rest, mayShareDevice: rest.mayShareDevice === true, ...(areStates(states) ? { states } : {}) }
  } catch {
    return null
  }
}

function areStates(states: NodeStates | undefined): states is NodeStates {
  const isPoint = (point: NodeStates['points'][number] | null): boolean =>
    Number.isSafeInteger(point?.lsn) && typeof point?.hash === 'string'
  return Number.isSafeInteger(states?.form) && Array.isArray(states?.points) && states.points.every(isPoint)
}
