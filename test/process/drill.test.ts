import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BackupManifest, encodeManifest } from '../../src/backup/backup-manifest.ts'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { type FrameRow, inspectJournal } from '../../src/journal/inspect.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { encodeRoot } from '../../src/state/snapshot.ts'
import { openLmdbStore } from '../../src/store/lmdb-store.ts'
import { putRoot, readRoot } from '../../src/tables/meta.ts'
import { allTables } from '../../src/tables/table-names.ts'
import { CommandLine, jsonOf, type Result, type StartedDatabase, till } from './command-line.ts'
import { contentOf } from './directory-content.ts'
import { fixtureApplication, RunningDatabase } from './running-database.ts'

const cli = new CommandLine()
const scratch = join(cli.directory, 'scratch')
const archive = join(cli.directory, 'archive')
const backup = join(cli.directory, 'backup')
const env = { TMPDIR: scratch, NODE_COMPILE_CACHE: join(tmpdir(), `commanderdb-${userInfo().uid}`, 'compile-cache') }
let database: StartedDatabase
const plant = pathToFileURL(join(import.meta.dirname, '..', 'fixtures', 'plants', 'wrong-state.ts')).href

interface Difference {
  readonly lsn: number
  readonly expected: string
  readonly found: string
}

interface Drill {
  readonly ok: boolean
  readonly lsn: number
  readonly time: string
  readonly entries: number
  readonly milliseconds: number
  readonly replayMs: number
  readonly stateHash: string
  readonly hashes: { readonly compared: number; readonly differing: readonly Difference[] }
  readonly loss: { readonly flushedLsn: number; readonly entries: number; readonly milliseconds: number } | null
}

const run = (...args: readonly string[]): Promise<Result> => cli.runWith({ env }, ...args)
const drill = (from: string, ...more: readonly string[]): Promise<Result> => run('restore', from, '--drill', ...more)
const put = async (cents: number): Promise<number> =>
  jsonOf<{ lsn: number }>(await run('send', 'till/1', 'put', JSON.stringify({ cents }), '--json')).lsn

beforeAll(async () => {
  mkdirSync(scratch)
  database = await cli.startWith({ env }, '--data-dir', cli.dataDir, '--app', till, '--archive-directory', archive)
  await put(1)
  jsonOf(await run('checkpoint', '--data-dir', cli.dataDir, '--json'))
  await put(2)
  jsonOf(await run('archive', '--data-dir', cli.dataDir, '--json'))
})
afterAll(() => cli.remove())

/** Whatever a drill found, it removes what it has made. */
const expectNothingLeft = (): void =>
  expect(readdirSync(scratch).filter((name) => !name.startsWith(`commanderdb-${userInfo().uid}`))).toEqual([])

const framesOf = (directory: string): FrameRow[] =>
  [...inspectJournal(new FileStorage(directory))].filter((row): row is FrameRow => row.kind === 'frame')

/** When the frame was written that holds this entry; the journal itself has let go of what is archived. */
function writtenAt(lsn: number): number {
  const unpacked = join(cli.directory, 'unpacked')
  mkdirSync(unpacked, { recursive: true })
  const objects = join(archive, 'segments', '00000001')
  for (const name of readdirSync(objects))
    writeFileSync(join(unpacked, name.replace('.zst', '')), zstdDecompressSync(readFileSync(join(objects, name))))
  const frames = [...framesOf(unpacked), ...framesOf(join(cli.dataDir, 'journal'))]
  const holding = frames.find(({ header }) => header.firstLsn <= lsn && lsn < header.firstLsn + header.entryCount)
  return (holding as FrameRow).header.wallMs
}

describe('a drill', () => {
  it('of a backup that holds everything says that nothing would be lost', async () => {
    const { toLsn, stateHash } = jsonOf<BackupManifest>(
      await run('backup', backup, '--data-dir', cli.dataDir, '--json'),
    )
    const before = contentOf(backup)
    const report = jsonOf<Drill>(await drill(backup, '--data-dir', cli.dataDir, '--json'))
    expect(report).toMatchObject({ ok: true, lsn: toLsn, stateHash, hashes: { differing: [] } })
    expect(report.hashes.compared).toBeGreaterThan(0)
    expect(report.loss).toEqual({ flushedLsn: toLsn, entries: 0, milliseconds: 0 })
    const text = await drill(backup, '--data-dir', cli.dataDir)
    expect([text.exitCode, text.stderr]).toEqual([0, ''])
    expect(text.stdout).toMatch(/^drill +ok$/m)
    expect(text.stdout).toMatch(new RegExp(`^would be lost +nothing: [^\\n]+ up to LSN ${toLsn}$`, 'm'))
    expect(contentOf(backup)).toEqual(before)
    expectNothingLeft()
  })

  it('says how many entries would be lost, of how long a time, and how long it took; of a running database and a stopped one', async () => {
    await put(3)
    await put(4)
    const answered = await put(5)
    const startMs = performance.now()
    const running = jsonOf<Drill>(await drill(archive, '--data-dir', cli.dataDir, '--json'))
    const elapsedMs = performance.now() - startMs
    const flushedLsn = running.loss?.flushedLsn as number
    expect(running.lsn).toBeLessThan(answered)
    expect(flushedLsn).toBeGreaterThanOrEqual(answered)
    const milliseconds = writtenAt(flushedLsn) - writtenAt(running.lsn)
    expect(milliseconds).toBeGreaterThan(0)
    expect(running.loss).toEqual({ flushedLsn, entries: flushedLsn - running.lsn, milliseconds })
    expect(running).toMatchObject({
      ok: true,
      entries: running.lsn,
      time: new Date(writtenAt(running.lsn)).toISOString(),
    })
    expect(running.replayMs).toBeLessThanOrEqual(running.milliseconds + 1)
    expect(running.milliseconds).toBeLessThanOrEqual(elapsedMs + 1)
    database.command.process.kill('SIGTERM')
    await database.command.ended
    const stopped = jsonOf<Drill>(await drill(archive, '--data-dir', cli.dataDir, '--json'))
    const last = stopped.loss?.flushedLsn as number
    expect(last).toBeGreaterThanOrEqual(flushedLsn)
    expect(stopped.loss).toMatchObject({
      entries: last - stopped.lsn,
      milliseconds: writtenAt(last) - writtenAt(stopped.lsn),
    })
    const { stdout } = await drill(archive, '--data-dir', cli.dataDir)
    expect(stdout).toContain(
      `${last - stopped.lsn} entries of the last ${stopped.loss?.milliseconds} ms (LSN ${stopped.lsn} of ${last})`,
    )
    expectNothingLeft()
  })

  it('of a store that was altered, with checksums that are right, finds another state and fails', async () => {
    const altered = join(cli.directory, 'altered')
    cpSync(backup, altered, { recursive: true })
    const { manifest, lsn } = await alterStore(altered)
    const result = await drill(altered, '--to-lsn', `${manifest.toLsn}`, '--json')
    expect([result.exitCode, result.stdout]).toEqual([1, expect.stringMatching(/^{/)])
    const report = JSON.parse(result.stdout) as Drill
    expect(report.ok).toBe(false)
    expect(lsn).toBeLessThanOrEqual(manifest.toLsn)
    const differing = { lsn: manifest.toLsn, expected: manifest.stateHash, found: report.stateHash }
    expect(report.hashes.differing).toContainEqual(differing)
    expect(result.stderr).toContain('what was restored is not what was: at LSN ')
    expectNothingLeft()
  })
})

/** One command more is said to be completed, in a store whose place in backup.json fits it. */
async function alterStore(directory: string): Promise<{ readonly manifest: BackupManifest; readonly lsn: number }> {
  const { sha256: _, ...rest } = JSON.parse(readFileSync(join(directory, 'backup.json'), 'utf8')) as Record<
    string,
    unknown
  >
  const manifest = rest as unknown as BackupManifest
  const path = join(cli.directory, 'altered-store')
  mkdirSync(path)
  writeFileSync(join(path, 'data.mdb'), zstdDecompressSync(readFileSync(join(directory, 'store.mdb.zst'))))
  const store = openLmdbStore({ path, tables: allTables, readOnly: false, environment: createSystemEnvironment() })
  const root = readRoot(store, { lookup: () => undefined, keepsPayloads: true })
  root.commands.completed++
  await new Promise<void>((resolve, reject) =>
    store.write(
      (batch) => putRoot(batch, encodeRoot(root)),
      (error) => (error === null ? resolve() : reject(error)),
    ),
  )
  await store.close()
  const packed = zstdCompressSync(readFileSync(join(path, 'data.mdb')))
  writeFileSync(join(directory, 'store.mdb.zst'), packed)
  const sha256 = createHash('sha256').update(packed).digest('hex')
  const objects = manifest.objects.map((one) =>
    one.name === 'store.mdb.zst' ? { ...one, bytes: packed.length, sha256 } : one,
  )
  writeFileSync(join(directory, 'backup.json'), encodeManifest({ ...manifest, objects }))
  return { manifest, lsn: root.lsn }
}

describe('a database whose state went wrong while it ran', () => {
  let database: RunningDatabase
  const wrong = join(cli.directory, 'wrong')

  /** Nobody compares states while it runs, so the checkpoint says the hash of the wrong one. */
  beforeAll(async () => {
    database = await RunningDatabase.start({
      applications: [{ module: fixtureApplication('troublesome') }],
      processes: { projectionApplier: { nodeOptions: ['--import', plant], env: { PLANT_AFTER: '3' } } },
      journal: { attestIntervalMs: 0 },
      archive: { directory: wrong },
    })
    const client = await database.connect()
    for (let i = 0; i < 5; i++) await client.execute('thing', 'a', 'count', null, { wait: 'applied' })
    jsonOf(await run('checkpoint', '--data-dir', database.dataDir, '--json'))
    jsonOf(await run('archive', '--data-dir', database.dataDir, '--json'))
  })
  afterAll(() => database.remove())

  it('is found by a drill, which names the entry and both hashes, and fails', async () => {
    const result = await drill(wrong, '--data-dir', database.dataDir, '--json')
    expect([result.exitCode, result.stdout]).toEqual([1, expect.stringMatching(/^{/)])
    const report = JSON.parse(result.stdout) as Drill
    expect(report).toMatchObject({ ok: false, hashes: { compared: 1, differing: [{ lsn: expect.any(Number) }] } })
    const { lsn, expected, found } = report.hashes.differing[0] as Difference
    expect(found).not.toBe(expected)
    const message = `what was restored is not what was: at LSN ${lsn} the state has the hash ${found}, but had ${expected} while the database ran`
    const { differing } = report.hashes
    expect(JSON.parse(result.stderr)).toEqual({
      error: { code: 'archive_corrupt', message, retryable: false, details: { differing } },
    })
    expect((await drill(wrong)).stdout).toMatch(/^drill +not ok$/m)
    expectNothingLeft()
  })

  it('is not restored: it is said that this is not what was, and nothing is made', async () => {
    const dataDir = join(cli.directory, 'not-restored')
    const result = await run('restore', wrong, '--data-dir', dataDir, '--json')
    expect([result.exitCode, result.stdout]).toEqual([1, ''])
    expect(result.stderr).toMatch(
      /what was restored is not what was: at LSN \d+ the state has the hash [0-9a-f]+, but had [0-9a-f]+ while the database ran; nothing was made: /,
    )
    expect(readdirSync(cli.directory).filter((name) => name.startsWith('not-restored'))).toEqual([])
    expect(existsSync(join(wrong, 'timelines'))).toBe(false)
  })

  it('is restored to what its journal says when that is asked for, and it is said that this is not what was', async () => {
    const dataDir = join(cli.directory, 'restored')
    const result = await run('restore', wrong, '--data-dir', dataDir, '--accept-difference', '--json')
    expect(result.exitCode).toBe(0)
    expect(JSON.parse(result.stdout)).toMatchObject({ hashes: { differing: [expect.anything()] } })
    const message = /^at LSN \d+ the state has the hash [0-9a-f]+, but had [0-9a-f]+ while/
    expect(JSON.parse(result.stderr)).toEqual({ warning: { message: expect.stringMatching(message) } })
  })
})
