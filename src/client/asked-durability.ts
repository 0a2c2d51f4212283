import { durabilities } from '../ipc/client-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { ExecuteOptions } from './options.ts'

type Asked = Pick<ExecuteOptions, 'durability'> & { readonly wait?: string }

/** @throws CommanderError `invalid_input`: who asks for a durability must not be given less */
export function assertDurability({ durability, wait }: Asked): void {
  if (durability === undefined) return
  if (!durabilities.includes(durability)) {
    const message = `the durability is ${JSON.stringify(durability)}, but must be written, flushed, replicated or applied`
    throw new CommanderError('invalid_input', message)
  }
  if (durability !== 'applied' || wait !== 'received') return
  const message =
    "wait: 'received' is answered before the command is decided, when there is nothing that could be applied: leave it out, or durability: 'applied'"
  throw new CommanderError('invalid_input', message)
}
