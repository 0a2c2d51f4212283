import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BackupManifest, encodeManifest } from '../../src/backup/backup-manifest.ts'
import { bank, CommandLine, jsonOf, type Result, till } from './command-line.ts'
import { contentOf } from './directory-content.ts'

const cli = new CommandLine()
const other = new CommandLine()
/** Everything but the databases: what is restored from, and what is restored to. */
const places = join(cli.directory, 'places')
const scratch = join(places, 'scratch')
const place = (...names: readonly string[]): string => join(places, ...names)
const env = {
  COMMANDERDB_JOURNAL_SEGMENT_BYTES: '1048576',
  TMPDIR: scratch,
  NODE_COMPILE_CACHE: join(tmpdir(), `commanderdb-${userInfo().uid}`, 'compile-cache'),
}

interface Manifest {
  readonly journalId: string
  readonly fromLsn: number
  readonly appliedLsn: number
  readonly appliedTime: string
  readonly toLsn: number
  readonly toTime: string
  readonly startedAt: string
}
let manifest: Manifest
let otherId: string
/** Object names of the archive's segments, oldest first. */
let segments: readonly string[]
let endLsn: number

const run = (...args: readonly string[]): Promise<Result> => cli.runWith({ env }, ...args)

/** Four segments in an archive, and a backup that was taken after the second; beside it a database with an archive of its own. */
beforeAll(async () => {
  mkdirSync(scratch, { recursive: true })
  const started = (db: CommandLine, app: string, archive: string): Promise<unknown> =>
    db.startWith({ env }, '--data-dir', db.dataDir, '--app', app, '--archive-directory', place(archive))
  await Promise.all([started(cli, till, 'archive'), started(other, bank, 'other')])
  const archived = async (db: CommandLine, aggregate: string, command: string, data: object): Promise<number> => {
    jsonOf(await db.runWith({ env }, 'send', aggregate, command, JSON.stringify(data), '--json'))
    return jsonOf<{ upTo: number }>(await db.runWith({ env }, 'archive', '--data-dir', db.dataDir, '--json')).upTo
  }
  await archived(cli, 'till/1', 'put', { cents: 1 })
  await archived(cli, 'till/1', 'put', { cents: 2 })
  manifest = jsonOf(await run('backup', place('backup'), '--data-dir', cli.dataDir, '--json'))
  await archived(cli, 'till/1', 'put', { cents: 3 })
  await archived(cli, 'till/1', 'put', { cents: 4 })
  endLsn = await archived(cli, 'till/1', 'put', { cents: 5 })
  await archived(other, 'account/1', 'deposit', { amountCents: 1 })
  await archived(other, 'account/1', 'deposit', { amountCents: 1 })
  otherId = (JSON.parse(readFileSync(place('other', 'archive.json'), 'utf8')) as Manifest).journalId
  segments = readdirSync(place('archive', 'segments', '00000001'))
    .toSorted()
    .map((name) => `segments/00000001/${name}`)
  expect(segments).toHaveLength(5)
  makeVariants()
}, 120_000)
afterAll(async () => {
  await other.remove()
  await cli.remove()
})

/** Copies of archive and backup, each with one thing wrong. */
function makeVariants(): void {
  const variant = (name: string, of: string, spoil: (path: string) => void): void => {
    cpSync(place(of), place(name), { recursive: true })
    spoil(place(name))
  }
  const third = segments[2] as string
  variant('gap', 'archive', (path) => rmSync(join(path, third)))
  variant('late', 'archive', (path) => rmSync(join(path, segments[0] as string)))
  variant('flipped', 'archive', (path) => flip(join(path, third)))
  variant('cut', 'archive', (path) => truncateSync(join(path, third), 100))
  variant('last-flipped', 'archive', (path) => {
    for (const later of segments.slice(3)) rmSync(join(path, later))
    flip(join(path, third))
  })
  variant('swapped', 'archive', (path) => cpSync(join(path, segments[1] as string), join(path, third)))
  variant('no-identity', 'archive', (path) => writeFileSync(join(path, 'archive.json'), '{"format":1'))
  variant('strange-segments', 'archive', (path) => {
    rmSync(join(path, 'segments'), { recursive: true })
    cpSync(place('other', 'segments'), join(path, 'segments'), { recursive: true })
  })
  variant('flipped-store', 'backup', (path) => flip(join(path, 'store.mdb.zst')))
  variant('cut-store', 'backup', (path) => truncateSync(join(path, 'store.mdb.zst'), 100))
  variant('no-store', 'backup', (path) => rmSync(join(path, 'store.mdb.zst')))
  variant('cut-manifest', 'backup', (path) => truncateSync(join(path, 'backup.json'), 200))
  variant('no-manifest', 'backup', (path) => rmSync(join(path, 'backup.json')))
  variant('other-manifest', 'backup', (path) => {
    const wrong = { ...manifestOf('backup'), toLsn: 'many' }
    writeFileSync(join(path, 'backup.json'), encodeManifest(wrong as never))
  })
  variant('changed-manifest', 'backup', (path) => {
    const text = readFileSync(join(path, 'backup.json'), 'utf8')
    writeFileSync(join(path, 'backup.json'), text.replace('"appliedLsn": ', '"appliedLsn": 1'))
  })
  variant('newer-manifest', 'backup', (path) => writeFileSync(join(path, 'backup.json'), '{"format":2}'))
  variant('alone', 'backup', (path) => {
    writeFileSync(join(path, 'backup.json'), encodeManifest({ ...manifestOf('backup'), archive: null }))
  })
  variant('moved-archive', 'backup', (path) => {
    writeFileSync(join(path, 'backup.json'), encodeManifest({ ...manifestOf('backup'), archive: place('other') }))
  })
  cpSync(join(cli.dataDir, 'identity.json'), place('a-database', 'identity.json'), { recursive: true })
  mkdirSync(place('a-directory'))
  writeFileSync(place('a-directory', 'letters.txt'), 'dear reader')
  cpSync(place('a-directory'), place('a-new.restoring'), { recursive: true })
  writeFileSync(place('a-file'), 'not a directory')
}

function manifestOf(name: string): BackupManifest {
  const { sha256: _, ...found } = JSON.parse(readFileSync(place(name, 'backup.json'), 'utf8')) as Record<
    string,
    unknown
  >
  return found as never
}

function flip(path: string): void {
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4
  writeFileSync(path, bytes)
}

/** It fails, says all of this in one line, and has made, changed and left nothing. */
async function expectRefusal(args: readonly string[], exitCode: number, says: readonly string[]): Promise<void> {
  const compiled = /^scratch\/commanderdb-\d+($|\/)/
  const before = contentOf(places, compiled)
  const result = await run(...args)
  expect([result.exitCode, result.stdout]).toEqual([exitCode, ''])
  expect(result.stderr).toMatch(/^commanderdb: [^\n]+\n$/)
  for (const part of says) expect(result.stderr).toContain(part)
  expect(contentOf(places, compiled)).toEqual(before)
}

const target = (): string => place('new', 'database')
const restoring = (from: string, ...more: readonly string[]): string[] => [
  'restore',
  place(from),
  '--data-dir',
  target(),
  ...more,
]

describe('restore refuses what belongs to another database', () => {
  it('as the archive that is named, saying both', () =>
    expectRefusal(restoring('backup', '--archive', place('other')), 1, [
      `the archive ${place('other')} is of the database ${otherId}`,
      `the backup of ${manifest.journalId}`,
    ]))

  it('as the archive that the backup names', () =>
    expectRefusal(restoring('moved-archive'), 1, [`${place('other')} is of the database ${otherId}`]))

  it('as segments of an archive', () =>
    expectRefusal(restoring('strange-segments'), 1, [
      `segments/00000001/0000000001-0000000000000001.segment.zst in ${place('strange-segments')}`,
      `is of the database ${otherId}, not of the one that is restored`,
    ]))

  it('as the database that a drill is to be compared with', () =>
    expectRefusal(['restore', place('backup'), '--drill', '--data-dir', other.dataDir], 1, [
      `${other.dataDir} holds the database`,
      'name the directory of the same database',
    ]))
})

describe('restore refuses an archive', () => {
  it('with a segment missing in the middle, and names it', () =>
    expectRefusal(restoring('gap'), 1, [`${segments[3]} in ${place('gap')}`, 'segment 3', 'is missing']))

  it('with a damaged segment, and names it', async () => {
    await expectRefusal(restoring('flipped'), 1, [`${segments[2]} in the archive ${place('flipped')} is damaged: `])
    await expectRefusal(restoring('cut'), 1, [`${segments[2]} in the archive ${place('cut')} is damaged: `])
  })

  it('with a segment under the name of another', () =>
    expectRefusal(restoring('swapped'), 1, [
      `${segments[2]} in the archive ${place('swapped')}`,
      'its header says segment 2',
    ]))

  it('that does not say whose it is', () =>
    expectRefusal(restoring('no-identity'), 1, [`archive.json in the archive ${place('no-identity')} is damaged`]))

  it('that begins later than the database, and says which backup is needed', () =>
    expectRefusal(restoring('late'), 1, [
      `the archive ${place('late')} begins at LSN ${Number(segments[1]?.slice(-28, -12))}`,
      `--archive ${place('late')}`,
    ]))

  it('behind a backup, too', async () => {
    await expectRefusal(restoring('backup', '--archive', place('flipped')), 1, [`${segments[2]}`, place('flipped')])
    await expectRefusal(restoring('backup', '--archive', place('gap')), 1, [
      `${segments[2]} in ${place('backup')}`,
      `the whole segment is missing, and ${segments[3]} comes after it`,
    ])
    await expectRefusal(restoring('backup', '--archive', place('none')), 1, [
      `the archive ${place('none')} is not there`,
    ])
  })

  it('whose last segment is damaged, though the backup has the beginning of that, unless no more is wanted', async () => {
    const args = restoring('backup', '--archive', place('last-flipped'))
    await expectRefusal(args, 1, [`${segments[2]} in the archive ${place('last-flipped')} is damaged: `])
    const drilled = await run(
      ...args.slice(0, 2),
      ...args.slice(4),
      '--drill',
      '--to-lsn',
      `${manifest.toLsn}`,
      '--json',
    )
    expect(jsonOf(drilled)).toMatchObject({ ok: true, lsn: manifest.toLsn, hashes: { compared: 2 } })
  })
})

describe('restore refuses a backup', () => {
  it('whose store is damaged, cut or gone', async () => {
    for (const [from, what] of [
      ['flipped-store', ''],
      ['cut-store', 'it has 100 bytes'],
      ['no-store', 'it is missing, and backup.json says that it is there'],
    ] as const)
      await expectRefusal(restoring(from), 1, ['store.mdb.zst in the ', `${place(from)} is damaged`, what])
  })

  it('whose backup.json is damaged, wrong, of a newer release, or gone', async () => {
    const named = (from: string): string => `backup.json of the backup ${place(from)} is damaged`
    await expectRefusal(restoring('cut-manifest'), 1, [named('cut-manifest'), 'not JSON'])
    await expectRefusal(restoring('changed-manifest'), 1, [named('changed-manifest'), 'its SHA-256 is'])
    await expectRefusal(restoring('other-manifest'), 1, [named('other-manifest'), 'no sound toLsn'])
    await expectRefusal(restoring('newer-manifest'), 1, [`${place('newer-manifest')} has format 2`])
    await expectRefusal(restoring('no-manifest'), 1, [
      `${place('no-manifest')} holds a backup that is not whole`,
      'backup.json',
    ])
  })

  it('where there is none', async () => {
    await expectRefusal(restoring('nothing'), 1, [`${place('nothing')} holds neither a backup nor an archive`])
    await expectRefusal(['restore', cli.dataDir, '--data-dir', target()], 1, [`${cli.dataDir} holds neither`])
  })
})

describe('restore refuses a target', () => {
  it('that is not empty: a database, a directory of letters, a file', async () => {
    for (const [name, first] of [
      ['a-database', 'identity.json'],
      ['a-directory', 'letters.txt'],
      ['a-file', 'a-file'],
    ] as const) {
      const args = ['restore', place('backup'), '--data-dir', place(name)]
      await expectRefusal(args, 1, [`${place(name)} is not empty (there is ${first})`, 'name another'])
    }
    const args = ['restore', place('backup'), '--data-dir', place('a-new')]
    await expectRefusal(args, 1, [`${place('a-new.restoring')}`, 'was not made by a restore (there is letters.txt)'])
    await expectRefusal(['restore', place('backup'), '--data-dir', cli.dataDir], 1, [`${cli.dataDir} is not empty`])
  })

  it('that cannot be made, or that is not named', async () => {
    await expectRefusal(['restore', place('backup'), '--data-dir', '/proc/x'], 1, ['cannot restore to /proc/x'])
    await expectRefusal(['restore', place('backup')], 2, ['--data-dir'])
  })
})

describe('restore refuses a goal', () => {
  it('before the backup, by LSN and by time', async () => {
    const from = `it can be restored to LSN ${manifest.appliedLsn} (${manifest.appliedTime}) and later`
    const before = manifest.appliedLsn - 1
    await expectRefusal(restoring('backup', '--to-lsn', `${before}`), 1, [
      `LSN ${before} is before the backup of ${manifest.startedAt}`,
      from,
    ])
    await expectRefusal(restoring('backup', '--to-time', '2001-01-01T00:00:00Z'), 1, [
      `2001-01-01T00:00:00.000Z is before the backup of ${manifest.startedAt}`,
      from,
    ])
  })

  it('before the first entry of an archive', () =>
    expectRefusal(restoring('archive', '--to-time', '2001-01-01T00:00:00Z'), 1, [
      '2001-01-01T00:00:00.000Z is before what there is to restore from',
      'the first entry that can be restored to is of 20',
    ]))

  it('behind the end', () =>
    expectRefusal(restoring('backup', '--to-lsn', `${endLsn + 1000}`), 1, [
      `there is no LSN ${endLsn + 1000}`,
      `everything there is ends at LSN ${endLsn}`,
    ]))

  it('behind the end by its time, where what came in between would be missing', async () => {
    const late = ['--to-time', '2090-01-01T00:00:00Z']
    const says = ['what was written from then to 2090-01-01T00:00:00.000Z, if anything, is not there', 'without a time']
    await expectRefusal(restoring('backup', ...late), 1, [`everything there is ends at LSN ${endLsn}, 20`, ...says])
    await expectRefusal(restoring('archive', ...late), 1, [`everything there is ends at LSN ${endLsn}, 20`, ...says])
    const end = `everything there is ends at LSN ${manifest.toLsn}, ${manifest.toTime}`
    await expectRefusal(restoring('alone', ...late), 1, [end, ...says])
    const { stdout, stderr, exitCode } = await run('restore', place('alone'), '--drill', ...late, '--json')
    expect([exitCode, stdout]).toEqual([1, ''])
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'invalid_input', details: { lastLsn: manifest.toLsn } } })
    // When the backup was begun nothing was missing yet.
    const drilled = await run('restore', place('alone'), '--drill', '--to-time', manifest.startedAt, '--json')
    expect(jsonOf(drilled)).toMatchObject({ ok: true, lsn: manifest.toLsn })
  })

  it('on a timeline that is not there', () =>
    expectRefusal(restoring('archive', '--timeline', '7'), 1, [
      `there is no timeline 7 in ${place('archive')}`,
      'there are: 1',
    ]))

  it('that is two, or none', async () => {
    const now = new Date().toISOString()
    await expectRefusal(restoring('backup', '--to-lsn', '5', '--to-time', now), 2, [
      'give one of --to-lsn and --to-time',
    ])
    await expectRefusal(restoring('backup', '--to-lsn', 'x'), 2, ['--to-lsn', '"x"'])
    await expectRefusal(restoring('backup', '--to-time', 'yesterday'), 2, ['--to-time is "yesterday"'])
    await expectRefusal(restoring('archive', '--archive', place('archive')), 2, ['is an archive itself'])
  })
})

describe('backup refuses a place', () => {
  const backing = (to: string, dataDir = cli.dataDir): string[] => ['backup', to, '--data-dir', dataDir]

  it('that holds a backup, an archive, or anything', async () => {
    await expectRefusal(backing(place('backup')), 1, [`${place('backup')} holds a backup already`, 'name another'])
    await expectRefusal(backing(place('other')), 1, [`${place('other')} holds an archive`])
    await expectRefusal(backing(place('a-directory')), 1, [
      `${place('a-directory')} is not empty: it holds letters.txt`,
    ])
  })

  it('that is a file, below a file, or where nothing can be made', async () => {
    await expectRefusal(backing(place('a-file')), 1, [place('a-file'), 'name a directory'])
    await expectRefusal(backing(place('a-file', 'x')), 1, [place('a-file'), 'name a directory'])
    await expectRefusal(backing('/proc/x'), 1, ['/proc/x'])
  })

  it('of a database that does not run', () =>
    expectRefusal(backing(place('new'), place('a-database')), 4, [`no database runs in ${place('a-database')}`]))
})

it('what was refused so often is restored as soon as nothing is wrong', async () => {
  const restored = jsonOf<{ lsn: number }>(await run(...restoring('backup', '--json')))
  expect(restored.lsn).toBe(endLsn)
})
