import { execFileSync } from 'node:child_process'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { claimArchive } from '../../src/archive/archive-identity.ts'
import { type ArchiveTarget, archiveNames } from '../../src/archive/archive-target.ts'
import { archiveLocationOf, openArchiveTarget } from '../../src/archive/open-target-adapter.ts'
import type { CommanderError } from '../../src/kernel/errors.ts'
import { type ArchiveFixture, archiveTargetContract, bytesOf } from './archive-target-contract.ts'
import { bucket, credentials, type Manner, S3World } from './s3-world.ts'

let world: S3World
let prefixes = 0

beforeAll(async () => {
  Object.assign(process.env, credentials)
  world = await S3World.start()
})
afterAll(() => world.stop())
afterEach(() => {
  world.manner = 'sound'
  world.pageNames = 1000
  Object.assign(process.env, credentials)
})

/** A handle on a place of its own in the bucket. */
const openAt = (prefix: string, changes: object = {}): Promise<ArchiveTarget> =>
  openArchiveTarget({ s3: { bucket, prefix, endpoint: world.endpoint, forcePathStyle: true, ...changes } })

const begin = async (target: ArchiveTarget): Promise<string | null> => {
  await claimArchive(target, Buffer.alloc(16, 1), '2026-01-01T00:00:00.000Z')
  return target.check(archiveNames.identity)
}

for (const manner of ['sound', 'ignores', 'unsupported'] as const) {
  const fixture = async (): Promise<ArchiveFixture> => {
    world.manner = manner
    const prefix = `contract/${++prefixes}`
    return { open: () => openAt(prefix), remove: async () => {} }
  }
  archiveTargetContract(`S3, where conditions of a put are: ${manner}`, fixture, manner === 'sound')
}

describe('an archive in S3', () => {
  let prefix: string
  let target: ArchiveTarget

  beforeEach(async () => {
    prefix = `db/${++prefixes}`
    target = await openAt(prefix)
    world.puts.length = 0
  })
  afterEach(() => target.close())

  test('is named by its URL', () => {
    expect(target.location).toBe(`s3://${bucket}/${prefix}`)
    expect(archiveLocationOf('s3://b')).toEqual({ s3: { bucket: 'b' } })
    expect(archiveLocationOf('s3://b/some/prefix', { region: 'r' })).toEqual({
      s3: { bucket: 'b', prefix: 'some/prefix', region: 'r' },
    })
    expect(archiveLocationOf('/a/directory')).toEqual({ directory: '/a/directory' })
  })

  test('lets the service refuse a taken name where that is seen to work, and says nothing', async () => {
    expect(await begin(target)).toBe(null)
    await target.putBytes('a', Buffer.from('first'))
    expect(await target.putBytes('a', Buffer.from('second'))).toBe('exists')
    expect(world.puts.map(({ condition }) => condition)).toEqual(['*', '*', '*', '*'])
  })

  test.each(['ignores', 'unsupported'] as const)(
    'says so when the manner of the service with conditions is: %s, and looks names up',
    async (manner) => {
      world.manner = manner
      expect(await begin(target)).toMatch(/ignores If-None-Match/)
      await target.putBytes('a', Buffer.from('first'))
      expect(await target.putBytes('a', Buffer.from('second'))).toBe('exists')
      expect((await bytesOf(await target.read('a'))).toString()).toBe('first')
      expect(world.puts.at(-1)?.condition).toBe(undefined)
    },
  )

  test('lists more names than come in one page', async () => {
    const names = ['many/1', 'many/2', 'many/3', 'many/4', 'many/5']
    for (const name of names) await target.putBytes(name, Buffer.from(name))
    world.pageNames = 2
    expect(await target.list('many/')).toEqual(names)
  })

  const failureOf = async (run: () => Promise<unknown>): Promise<CommanderError> => {
    try {
      await run()
    } catch (error) {
      return error as CommanderError
    }
    throw new Error('it did not fail')
  }

  const bad: readonly (readonly [Manner, RegExp])[] = [
    [
      'refuses',
      /the service refuses \(AccessDenied\); check the credentials and that they may get, put and list in archive/,
    ],
    ['elsewhere', /the bucket archive is in another region, eu-central-1; set archive\.s3\.region/],
    ['fails', /the service fails \(SlowDown, status 503\)/],
  ]
  test.each(bad)('names a service that %s', async (manner, message) => {
    world.manner = manner
    const runs = [() => target.list(''), () => target.putBytes('a', Buffer.from('a'))]
    for (const run of manner === 'fails' ? runs.slice(0, 1) : runs) {
      const error = await failureOf(run)
      expect(error).toMatchObject({ code: 'archive_unavailable', retryable: true })
      // The answer to a look-up has no body that would say more.
      if (!error.message.includes('look up')) expect(error.message).toMatch(message)
      expect(error.message).toContain(world.endpoint)
    }
  })

  test('names a service that does not speak S3', async () => {
    world.manner = 'no-s3'
    expect(await failureOf(() => target.list(''))).toMatchObject({ code: 'archive_unavailable' })
    expect(await failureOf(() => begin(target))).toMatchObject({ code: expect.stringMatching(/^archive_/) })
  })

  test('names a service that is down', async () => {
    const other = await S3World.start()
    const lost = await openArchiveTarget({ s3: { bucket, endpoint: other.endpoint, forcePathStyle: true } })
    await other.stopFront()
    const error = await failureOf(() => lost.putBytes('a', Buffer.from('a')))
    expect(error).toMatchObject({
      code: 'archive_unavailable',
      message: expect.stringMatching(/cannot be reached \(ECONNREFUSED\)/),
    })
    await lost.close()
    await other.stop()
  })

  test('names a bucket that is not there', async () => {
    const none = await openAt(prefix, { bucket: 'no-such-bucket' })
    const error = await failureOf(() => none.list(''))
    expect(error).toMatchObject({
      code: 'archive_unavailable',
      message: expect.stringMatching(/there is no bucket no-such-bucket; make it/),
    })
    await none.close()
  })

  test('names credentials that are wrong', async () => {
    process.env['AWS_ACCESS_KEY_ID'] = 'STRANGER'
    const stranger = await openAt(prefix)
    const error = await failureOf(() => stranger.list(''))
    expect(error).toMatchObject({
      code: 'archive_unavailable',
      message: expect.stringMatching(/refuses \(InvalidAccessKeyId\)/),
    })
    await stranger.close()
  })

  test('refuses an endpoint that is no URL', async () => {
    await expect(openAt(prefix, { endpoint: 'localhost:9000' })).rejects.toMatchObject({ code: 'invalid_config' })
  })

  test('finds a service out that says that it has put what it does not keep', async () => {
    world.manner = 'keeps-nothing'
    const error = await failureOf(() => target.putBytes('a', Buffer.from('a')))
    expect(error).toMatchObject({
      code: 'archive_corrupt',
      message: expect.stringMatching(/said that it has a, and does not/),
    })
  })

  test('finds a service out that says that it has put an object where it keeps another', async () => {
    await begin(target)
    await target.putBytes('a', Buffer.from('first'))
    world.manner = 'keeps-the-old'
    const error = await failureOf(() => target.putBytes('a', Buffer.from('other')))
    expect(error).toMatchObject({ code: 'archive_conflict' })
    expect((await bytesOf(await target.read('a'))).toString()).toBe('first')
  })

  test('ends a read that breaks off with an error, never early', async () => {
    await target.putBytes('large', Buffer.alloc(1_000_000, 'x'))
    world.manner = 'breaks-off'
    const error = await failureOf(async () => bytesOf(await target.read('large')))
    expect(error).toMatchObject({ code: 'archive_unavailable' })
  })
})

test('the SDK is loaded for a target in S3, and not for a directory', () => {
  const adapter = new URL('../../src/archive/open-target-adapter.ts', import.meta.url).href
  const loads = (at: object): string => {
    const script = `
      import { createRequire } from 'node:module'
      const { openArchiveTarget } = await import(${JSON.stringify(adapter)})
      await openArchiveTarget(${JSON.stringify(at)})
      const { cache } = createRequire(${JSON.stringify(adapter)})
      process.stdout.write(String(Object.keys(cache).some((file) => file.includes('client-s3'))))`
    return execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  }
  expect(loads({ directory: '/does/not/matter' })).toBe('false')
  expect(loads({ s3: { bucket, endpoint: 'http://127.0.0.1:1' } })).toBe('true')
})
