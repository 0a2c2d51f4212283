import { CommanderError } from '../kernel/errors.ts'
import type { AnyAggregate } from '../sdk/aggregate-types.ts'
import type { HttpExchange, HttpGateway } from './http-route.ts'
import { wrongId } from './wrong-id.ts'

export interface Addressed {
  readonly definition: AnyAggregate
  readonly type: string
  readonly id: string
}

/**
 * The aggregate that a path names. A type with an encoded slash in it would name another aggregate's key: it is unknown
 * like any other type that nobody defines.
 *
 * @throws CommanderError `unknown_aggregate`, `invalid_input`
 */
export const addressed = (gateway: HttpGateway, { params }: HttpExchange): Addressed =>
  addressedAs(gateway, params['type'] as string, params['id'] as string)

/** @throws CommanderError as `addressed` */
export function addressedAs(gateway: HttpGateway, type: string, id: string): Addressed {
  const definition = gateway.admission.aggregate(type)
  const wrong = wrongId(type, id)
  if (wrong !== null) throw new CommanderError('invalid_input', wrong)
  return { definition, type, id }
}
