import { hash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Access, isLoopback } from '../../../src/gateway/http-access.ts'

const nobody = { authorization: undefined, host: 'localhost:7400', origin: undefined }
const withToken = (authorization: string) => ({ ...nobody, authorization })

describe('a loopback address', () => {
  it.each(['localhost', 'LOCALHOST', '127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1'])('is %s', (host) => {
    expect(isLoopback(host)).toBe(true)
  })

  it.each(['0.0.0.0', '::', '192.168.0.1', '127.0.0.1.evil.example', 'localhost.evil.example', '1127.0.0.1', ''])(
    'is not %j',
    (host) => {
      expect(isLoopback(host)).toBe(false)
    },
  )
})

describe('without tokens', () => {
  const access = new Access([])

  it.each(['localhost', 'localhost:7400', '127.0.0.1:7400', '[::1]:7400', '[::1]'])(
    'whoever calls %s is let in',
    (host) => {
      expect(access.refuse(['admin'], { ...nobody, host })).toBeNull()
    },
  )

  it.each(['evil.example', 'evil.example:7400', '[::2]:7400', '127.0.0.1.evil.example', ''])(
    'whoever calls %j is not',
    (host) => {
      expect(access.refuse(['read'], { ...nobody, host })?.error.code).toBe('forbidden')
    },
  )

  it('a page is let in at its own origin only', () => {
    const from = (origin: string) => access.refuse(['send'], { ...nobody, origin })
    expect(from('http://localhost:7400')).toBeNull()
    expect(from('http://localhost:3000')?.error.code).toBe('forbidden')
    expect(from('https://evil.example')?.error.code).toBe('forbidden')
    expect(from('null')?.error.code).toBe('forbidden')
  })
})

describe('with tokens', () => {
  const sha256 = hash('sha256', 'one')
  const access = new Access([
    { name: 'one', sha256: sha256.toUpperCase(), scopes: ['read'] },
    { name: 'two', sha256: hash('sha256', 'two'), scopes: ['send', 'operate'] },
    { name: 'three', sha256: hash('sha256', 'three'), scopes: ['admin'] },
    { name: 'broken', sha256: 'abc', scopes: ['admin'] },
  ])

  it('any one of the scopes is enough, and admin has them all', () => {
    expect(access.refuse(['read'], withToken('Bearer one'))).toBeNull()
    expect(access.refuse(['read', 'send'], withToken('bearer two'))).toBeNull()
    expect(access.refuse(['read'], withToken('Bearer two'))?.error.code).toBe('forbidden')
    expect(access.refuse(['operate'], withToken('Bearer three'))).toBeNull()
    expect(access.refuse(['admin'], withToken('Bearer two'))?.error.code).toBe('forbidden')
  })

  it('the digest of a token is not a token', () => {
    expect(access.refuse(['read'], withToken(`Bearer ${sha256}`))?.error.code).toBe('unauthorized')
  })

  it('a token is let in for all bytes of its digest, and not for the first of them', () => {
    const firstByte = (token: string): string => hash('sha256', token).slice(0, 2)
    let guess = 0
    while (firstByte(`guess-${guess}`) !== firstByte('one')) guess++
    expect(access.refuse(['read'], withToken(`Bearer guess-${guess}`))?.error.code).toBe('unauthorized')
  })

  it('the message does not repeat what was presented', () => {
    const refusal = access.refuse(['read'], withToken('Bearer almost-secret'))
    expect(refusal?.error.message).not.toContain('almost-secret')
    expect(refusal?.challenge).toBe('Bearer realm="commanderdb", error="invalid_token"')
  })

  it('pages of anywhere and hosts of any name are let in with one', () => {
    const credentials = { authorization: 'Bearer one', host: 'db.example', origin: 'https://app.example' }
    expect(access.refuse(['read'], credentials)).toBeNull()
  })

  it('routes without scopes need none', () => {
    expect(access.refuse(null, { ...nobody, host: 'db.example' })).toBeNull()
  })
})
