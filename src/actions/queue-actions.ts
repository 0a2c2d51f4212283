/** At most so many are started in any time as long as the period. */
export interface RateLimitForm {
  readonly limit: number
  readonly periodMs: number
}

/** The limits of a queue as an application registers them: of one command of a type. */
export interface QueueForm {
  readonly type: string
  readonly command: string
  /** Under way at once, of each partition. */
  readonly concurrency?: number
  readonly rateLimit?: RateLimitForm
}

/** What a received command says of when it may be started; each absent where it says nothing. */
export interface QueueFields {
  /** The part of its queue that the limits hold for; present where its command has a queue. */
  readonly partition?: string
  /** 1 to 9: before those of a lower one that wait in the same partition; absent for 0. */
  readonly priority?: number
  /** Not before so long after it was received. */
  readonly delayMs?: number
}

/** These alone. */
export const queueFieldsOf = ({ partition, priority, delayMs }: QueueFields): QueueFields => ({
  ...(partition === undefined ? {} : { partition }),
  ...(priority === undefined ? {} : { priority }),
  ...(delayMs === undefined ? {} : { delayMs }),
})

/** The queue of a command: what it is counted under. */
export const queueName = (type: string, command: string): string => `${type}/${command}`
