import { execFileSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { restoreManifest, swapManifest } from './package-manifest.ts'

/** npm's prepack step: compiles into dist/ and lets package.json point there until restore-package.ts has run. */
const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')

restoreManifest(root)
rmSync(dist, { recursive: true, force: true })
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
execFileSync(process.execPath, [compiler, '-p', join(root, 'scripts', 'tsconfig.package.json')], { stdio: 'inherit' })
// What the compiler does not carry over: the launcher, declarations written by hand, and files that are read as they are.
cpSync(join(root, 'src'), join(dist, 'src'), {
  recursive: true,
  filter: (path) => !/\/(examples|tsconfig\.json)$|(?<!\.d)\.ts$/.test(path),
})
swapManifest(root)
