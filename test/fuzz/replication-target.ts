import fc from 'fast-check'
import { isCommanderError } from '../../src/kernel/errors.ts'
import { decodeMessage, encodeMessage, type ReplicationMessage } from '../../src/replication/message-codec.ts'
import { anyMessageByKind, messageKinds } from '../unit/replication/any-message.ts'
import type { FuzzLife, FuzzTarget } from './fuzz.ts'
import { mutated } from './mutations.ts'

interface Sample {
  readonly kind: number
  readonly body: Buffer
}

/** Messages of all kinds; what is decoded is written again as the same bytes, or is refused as a violation of the protocol. */
export const replicationTarget: FuzzTarget = {
  inputsPerLife: 100_000,
  async open(): Promise<FuzzLife> {
    const samples: Sample[] = messageKinds.flatMap((kind) =>
      fc
        .sample(anyMessageByKind[kind] as fc.Arbitrary<ReplicationMessage>, { seed: 1, numRuns: 3 })
        .map((message) => encodeMessage(message))
        .map(({ kind: code, body }) => ({ kind: code, body: Buffer.concat(body) })),
    )
    const corpus = samples.map(({ body }) => body)
    return {
      feed: async (random, shows) => {
        const sample = random.pick(samples)
        const kind = random.chance(0.05) ? random.integer(0, 70) : sample.kind
        const input = mutated(random, sample.body, corpus)
        shows(input)
        const message = decodedOrRefused(kind, input)
        if (message === null) return
        const again = encodeMessage(message)
        if (again.kind !== kind || !Buffer.concat(again.body).equals(input))
          throw new Error(`a message of kind ${kind} is written in another way than it was read`)
      },
      check: async () => {
        for (const { kind, body } of samples) decodeMessage(kind, body)
      },
      close: async () => {},
    }
  },
}

function decodedOrRefused(kind: number, input: Buffer): ReplicationMessage | null {
  try {
    return decodeMessage(kind, input)
  } catch (error) {
    if (isCommanderError(error) && error.code === 'protocol_violation') return null
    throw error
  }
}
