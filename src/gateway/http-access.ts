import { hash, timingSafeEqual } from 'node:crypto'
import { CommanderError } from '../kernel/errors.ts'
import type { Scope, TokenConfig } from '../sdk/config.ts'

/** What a request says about who sends it. */
export interface Credentials {
  readonly authorization: string | undefined
  readonly host: string | undefined
  readonly origin: string | undefined
}

/** A refusal, with the challenge of RFC 6750 (bearer tokens) where one is due. */
export interface Refusal {
  readonly error: CommanderError
  readonly challenge: string | null
}

interface KnownToken {
  readonly digest: Buffer
  readonly scopes: ReadonlySet<Scope>
}

/**
 * Who may do what. With tokens, every call needs one that has one of the route's scopes; `admin` has them all. Without,
 * everything is open, and the server listens on a loopback address only; requests that a web page of elsewhere made a
 * browser send there are refused.
 */
export class Access {
  readonly #tokens: readonly KnownToken[]

  constructor(tokens: readonly TokenConfig[]) {
    this.#tokens = tokens.map(({ sha256, scopes }) => ({ digest: Buffer.from(sha256, 'hex'), scopes: new Set(scopes) }))
  }

  /** @throws CommanderError `invalid_config` where anybody on the network could do anything */
  assertMayListen(host: string): void {
    if (this.#tokens.length > 0 || isLoopback(host)) return
    const message = `http.host ${host} can be reached from other hosts, and security.tokens is empty: configure a token, or listen on 127.0.0.1`
    throw new CommanderError('invalid_config', message)
  }

  /** @param scopes one of these is needed; null: open to everybody. */
  refuse(scopes: readonly Scope[] | null, credentials: Credentials): Refusal | null {
    if (scopes === null) return null
    if (this.#tokens.length === 0) return refuseForeignPage(credentials)
    const presented = /^Bearer +([^ ]+) *$/i.exec(credentials.authorization ?? '')?.[1]
    if (presented === undefined) return unauthorized('a token is needed: send "Authorization: Bearer <token>"', '')
    const token = this.#find(presented)
    if (token === null) return unauthorized('no such token is configured in security.tokens', ', error="invalid_token"')
    if (token.scopes.has('admin') || scopes.some((scope) => token.scopes.has(scope))) return null
    const needed = scopes.join(' or ')
    return {
      error: new CommanderError('forbidden', `the token does not have the scope ${needed}`, { details: { scopes } }),
      challenge: `Bearer realm="commanderdb", error="insufficient_scope", scope="${scopes.join(' ')}"`,
    }
  }

  /** Looks at all of them, and at all bytes of each: time tells nothing about how near a guess was. */
  #find(presented: string): KnownToken | null {
    const digest = hash('sha256', presented, 'buffer')
    let found: KnownToken | null = null
    for (const token of this.#tokens) {
      if (token.digest.length === digest.length && timingSafeEqual(token.digest, digest)) found = token
    }
    return found
  }
}

const unauthorized = (message: string, more: string): Refusal => ({
  error: new CommanderError('unauthorized', message),
  challenge: `Bearer realm="commanderdb"${more}`,
})

/**
 * A page of any site may send simple requests to 127.0.0.1, and by rebinding its own name to that address read the
 * answers too. Such requests carry the page's origin or its host name.
 */
function refuseForeignPage({ host, origin }: Credentials): Refusal | null {
  const name = hostNameOf(host ?? '')
  const foreignHost = host !== undefined && !isLoopback(name)
  const foreignOrigin = origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)
  if (!foreignHost && !foreignOrigin) return null
  const what = foreignHost ? `for host "${host}"` : `from the origin "${origin}"`
  const message = `a request ${what} is refused while security.tokens is empty: configure a token, or call 127.0.0.1 directly`
  return { error: new CommanderError('forbidden', message), challenge: null }
}

/** `[::1]:7400` is `::1`, `localhost:7400` is `localhost`. */
const hostNameOf = (host: string): string =>
  /^(?:\[([^\]]*)\]|([^:]*))(?::[0-9]*)?$/.exec(host)?.slice(1).find(Boolean) ?? host

export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  return (
    name === 'localhost' ||
    name === '::1' ||
    /^127(\.[0-9]{1,3}){3}$/.test(name) ||
    /^::ffff:127(\.[0-9]{1,3}){3}$/.test(name)
  )
}
