import { chmodSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { restoreManifest } from './package-manifest.ts'

/**
 * npm's prepare step, the last one of `npm ci` in a clone. npm links the binaries of dependencies but not the
 * project's own, so that `npx commanderdb` needs this link.
 */
const root = resolve(import.meta.dirname, '..')

// npm runs prepare inside `npm pack` too, between prepack and reading package.json: then the swap must stay.
const packing = process.env['npm_command'] === 'pack' || process.env['npm_command'] === 'publish'
if (!packing && restoreManifest(root)) process.stderr.write('package.json: put back after an interrupted npm pack\n')

const binaries = join(root, 'node_modules', '.bin')
const link = join(binaries, 'commanderdb')
chmodSync(join(root, 'src', 'cli', 'commanderdb.mjs'), 0o755)
mkdirSync(binaries, { recursive: true })
rmSync(link, { force: true })
symlinkSync('../../src/cli/commanderdb.mjs', link)
