import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packagedManifest, swapManifest } from '../../scripts/package-manifest.ts'
import { blocksOf, fileNameOf } from './walk-through.ts'

const repository = resolve(import.meta.dirname, '..', '..')
const compiler = join(repository, 'node_modules', 'typescript', 'bin', 'tsc')
const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string }

interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** As from a shell of its own: without what an npm that runs these tests says about the repository. */
function run(directory: string, command: string, ...args: string[]): Result {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(?!config_)|^npm_config_(local_)?prefix$|^NODE_OPTIONS$/.test(name),
    ),
  )
  const path = [dirname(process.execPath), process.env['PATH']].join(delimiter)
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: directory,
    env: { ...environment, PATH: path, npm_config_loglevel: 'error' },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (error) throw error
  return { status, stdout, stderr }
}

/** Fails with everything that the command said. */
function runWell(directory: string, command: string, ...args: string[]): string {
  const result = run(directory, command, ...args)
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${JSON.stringify(result)}`)
  return result.stdout
}

let temporary: string
let clone: string
let consumer: string
let tarball: string
let tarballFiles: string[]

/** Packing swaps package.json for a moment, which must not happen to the tree that other tests run from. */
function copyRepository(): void {
  const documents = readdirSync(repository).filter((name) => name.endsWith('.md'))
  for (const name of [
    'src',
    'processes',
    'scripts',
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'LICENSE',
    ...documents,
  ]) {
    cpSync(join(repository, name), join(clone, name), { recursive: true })
  }
  mkdirSync(join(clone, 'node_modules'))
  for (const name of readdirSync(join(repository, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(repository, 'node_modules', name), join(clone, 'node_modules', name))
  }
}

beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), 'commanderdb-package-'))
  clone = join(temporary, 'clone')
  consumer = join(temporary, 'elsewhere', 'consumer')
  mkdirSync(clone)
  mkdirSync(consumer, { recursive: true })
  copyRepository()
  runWell(clone, 'npm', 'pack', '--pack-destination', temporary)
  tarball = join(temporary, `commanderdb-${version}.tgz`)
  tarballFiles = runWell(temporary, 'tar', '-tzf', tarball).trim().split('\n')
  writeFileSync(join(consumer, 'package.json'), '{"name":"consumer","version":"1.0.0","type":"module","private":true}')
  runWell(consumer, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', tarball)
}, 300_000)
afterAll(() => rmSync(temporary, { recursive: true, force: true }))

const manifestOf = (root: string): string => readFileSync(join(root, 'package.json'), 'utf8')

describe('npm pack', () => {
  it('puts the manifest that points to compiled files into the package', () => {
    const packed = runWell(temporary, 'tar', '-xOf', tarball, 'package/package.json')
    expect(packed).toBe(packagedManifest(manifestOf(repository)))
  })

  it('leaves the package.json of the clone as it was, byte for byte', () => {
    expect(manifestOf(clone)).toBe(manifestOf(repository))
    expect(existsSync(join(clone, 'dist', 'package.json.repository'))).toBe(false)
  })

  it('packs compiled files, declarations and documents, and no source, test or example', () => {
    const unexpected = tarballFiles.filter(
      (name) => !/^package\/(dist\/(src|processes)\/.*\.(m?js|d\.ts)|package\.json|[A-Z_]+\.md|LICENSE)$/.test(name),
    )
    expect(unexpected).toEqual([])
    expect(tarballFiles.filter((name) => /\/(test|examples)\//.test(name))).toEqual([])
    expect(tarballFiles).toContain('package/dist/src/index.js')
    expect(tarballFiles).toContain('package/dist/src/cli/commanderdb.mjs')
  })

  it('packs no script that an installation would want to run', () => {
    const { scripts } = JSON.parse(runWell(temporary, 'tar', '-xOf', tarball, 'package/package.json')) as {
      readonly scripts: Readonly<Record<string, string>>
    }
    expect(Object.keys(scripts)).toEqual(['prepack', 'postpack', 'postprepare'])
    const listed = run(consumer, 'npm', 'install-scripts', 'ls')
    expect(listed.stdout + listed.stderr).toContain('lmdb')
    expect(listed.stdout + listed.stderr).not.toMatch(/commanderdb@/)
  })

  it('packs documents whose links lead to what is packed', () => {
    const documents = tarballFiles.filter((name) => name.endsWith('.md'))
    expect(documents).toContain('package/README.md')
    const dead = documents.flatMap((name) => {
      const text = runWell(temporary, 'tar', '-xOf', tarball, name)
      const targets = [...text.matchAll(/\]\(([^)#\s]+)/g)].map(([, target = '']) => target)
      const local = targets.filter((target) => !/^https?:/.test(target))
      return local.filter((target) => !tarballFiles.includes(`package/${target}`)).map((target) => `${name}: ${target}`)
    })
    expect(dead).toEqual([])
  })

  it('compiles every process, beside the sources that it imports', () => {
    const processes = readdirSync(join(repository, 'processes')).map((name) => name.replace(/\.ts$/, '.js'))
    expect(processes).not.toEqual([])
    for (const name of processes) expect(tarballFiles).toContain(`package/dist/processes/${name}`)
  })

  it('that was interrupted is mended by the next npm install or npm pack', () => {
    swapManifest(clone)
    expect(manifestOf(clone)).not.toBe(manifestOf(repository))
    // One of the scripts that `npm ci` and `npm install` run in the tree itself; `prepare` is not among those of the package.
    expect(runWell(clone, 'npm', 'run', 'postprepare')).not.toContain('error')
    expect(manifestOf(clone)).toBe(manifestOf(repository))
    swapManifest(clone)
    runWell(clone, 'npm', 'pack', '--pack-destination', join(temporary, 'elsewhere'))
    expect(manifestOf(clone)).toBe(manifestOf(repository))
  })

  it('that does not compile fails, and leaves package.json as it was', () => {
    writeFileSync(join(clone, 'src', 'broken.ts'), "export const amount: number = 'five'\n")
    try {
      expect(run(clone, 'npm', 'pack', '--pack-destination', join(temporary, 'elsewhere')).status).not.toBe(0)
      expect(manifestOf(clone)).toBe(manifestOf(repository))
    } finally {
      rmSync(join(clone, 'src', 'broken.ts'))
    }
  })
})

describe('the clone', () => {
  it('has the command line among its binaries once npm has prepared it', () => {
    rmSync(join(clone, 'node_modules', '.bin', 'commanderdb'), { force: true })
    runWell(clone, 'npm', 'run', 'prepare')
    expect(runWell(clone, join('node_modules', '.bin', 'commanderdb'), '--version')).toBe(`${version}\n`)
  })
})

describe('the installed package', () => {
  it('brings the command line', () => {
    expect(runWell(consumer, 'npx', '--no-install', 'commanderdb', '--version')).toBe(`${version}\n`)
  })

  it('is imported from JavaScript', () => {
    const program = "import { defineAggregate } from 'commanderdb'; console.log(typeof defineAggregate)"
    expect(runWell(consumer, process.execPath, '--input-type=module', '--eval', program)).toBe('function\n')
  })

  it.each(['commanderdb', 'commanderdb/client', 'commanderdb/testing'])('offers %s', (entry) => {
    const program = `const entry = await import('${entry}'); console.log(Object.keys(entry).length > 0)`
    expect(runWell(consumer, process.execPath, '--input-type=module', '--eval', program)).toBe('true\n')
  })

  it('gives types that a strict TypeScript program resolves and is held to', () => {
    const program = (name: string, initial: string): string => `
      import { defineAggregate } from 'commanderdb'
      export const account = defineAggregate({
        name: 'account',
        initialState: () => ({ balanceCents: ${initial} }),
        decide: { deposit: (data: { amountCents: number }) => ({ type: '${name}', data }) },
        evolve: {
          deposited: (state, data: { amountCents: number }) => ({ balanceCents: state.balanceCents + data.amountCents }),
        },
      })\n`
    const compile = (text: string): Result => {
      writeFileSync(join(consumer, 'application.ts'), text)
      const options = [
        '--strict',
        '--skipLibCheck',
        '--noEmit',
        '--module',
        'nodenext',
        '--target',
        'es2024',
        '--types',
        '',
      ]
      return run(consumer, process.execPath, compiler, ...options, 'application.ts')
    }
    expect(compile(program('deposited', '0'))).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(compile(program('withdrawn', '0')).stdout).toMatch(/application\.ts\(\d+,\d+\): error TS/)
  })

  it('checks what README.md shows with the settings that README.md gives, types of libraries included', () => {
    const project = join(consumer, 'project')
    mkdirSync(join(project, 'node_modules', '@types'), { recursive: true })
    // As `npm install --save-dev` puts it there.
    for (const name of ['node', '../undici-types']) {
      const from = join(repository, 'node_modules', '@types', name)
      symlinkSync(from, join(project, 'node_modules', '@types', name))
    }
    const blocks = blocksOf(readFileSync(join(repository, 'README.md'), 'utf8'))
    const [first] = blocks
    const [begin = '', install = ''] = first?.text.split('\n') ?? []
    expect(install).toBe(`npm install ../commanderdb/commanderdb-${version}.tgz`)
    runWell(project, 'sh', '-c', begin)
    expect(JSON.parse(manifestOf(project))).toMatchObject({ type: 'module' })
    for (const block of blocks)
      if (block.language !== 'sh') writeFileSync(join(project, fileNameOf(block) ?? 'printed'), block.text)
    expect(run(project, process.execPath, compiler)).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  it.each([
    ['TypeScript', 'till.ts', '(data: { cents: number })', '(state, data: { cents: number })'],
    ['JavaScript', 'till.js', '(data)', '(state, data)'],
  ])('runs a database with an application in %s', async (_, file, decideParameters, evolveParameters) => {
    const program = `
      import { CommandRejected, defineAggregate, defineApplication } from 'commanderdb'
      const till = defineAggregate({
        name: 'till',
        initialState: () => ({ cents: 0 }),
        decide: {
          put: ${decideParameters} => {
            if (data.cents < 0) throw new CommandRejected('negative', 'cents are below 0')
            return { type: 'put', data }
          },
        },
        evolve: { put: ${evolveParameters} => ({ cents: state.cents + data.cents }) },
      })
      export default defineApplication({ name: 'shop', aggregates: [till] })\n`
    writeFileSync(join(consumer, file), program)
    const dataDir = join(consumer, `data-${file}`)
    const commanderdb = (...args: string[]): Result =>
      run(consumer, 'npx', '--no-install', 'commanderdb', ...args, '--data-dir', dataDir)
    const binary = join(consumer, 'node_modules', '.bin', 'commanderdb')
    const args = ['start', '--app', `./${file}`, '--data-dir', dataDir, '--http-port', '0']
    const database = spawn(process.execPath, [binary, ...args], { cwd: consumer, stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(database, 'exit')
    try {
      await Promise.race([ready(database.stdout), ended])
      expect(JSON.parse(commanderdb('status', '--json').stdout)).toMatchObject({ ready: true, dataDir })
      const sent = commanderdb('send', 'till/1', 'put', '{"cents":5}', '--json')
      expect(JSON.parse(sent.stdout)).toMatchObject({
        outcome: 'completed',
        events: [{ type: 'put', data: { cents: 5 } }],
      })
      expect(commanderdb('send', 'till/1', 'put', '{"cents":-5}')).toMatchObject({ status: 3 })
      const client = `import { connect } from 'commanderdb/client'
        const db = await connect({ dataDir: ${JSON.stringify(dataDir)} })
        console.log((await db.read('till', '1', { minLsn: ${JSON.parse(sent.stdout).events[0].lsn} })).state.cents)
        await db.close()`
      expect(runWell(consumer, process.execPath, '--input-type=module', '--eval', client)).toBe('5\n')
      expect(commanderdb('stop')).toMatchObject({ status: 0, stderr: '' })
      expect(await ended).toEqual([0, null])
    } finally {
      database.kill('SIGTERM')
      await ended
    }
  })
})

async function ready(output: Readable): Promise<void> {
  let text = ''
  for await (const chunk of output) {
    text += chunk
    if (/^ready .*$/m.test(text)) break
  }
  // Nobody reads the log from here on.
  output.resume()
}
