import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * The clone runs from TypeScript, the package from compiled JavaScript, because Node strips no types below
 * node_modules. So package.json points into src/ in the repository and into dist/ while `npm pack` reads it.
 */
interface Manifest {
  scripts: Record<string, string>
  bin: Record<string, string>
  exports: Record<string, string | Record<string, string>>
}

const compiledTarget = (target: string): string => `dist/${target.replace(/^\.\//, '').replace(/\.ts$/, '.js')}`

/**
 * The text of the package's package.json, from that of the repository's. `bin` and `exports` point to compiled files, and of
 * the scripts, whose files are not packed, stays what mends a tree in which a pack was interrupted: by the next `npm pack`, and
 * by `npm ci` or `npm install`. Those run `postprepare` in the tree itself only; of a package that has `prepare` npm says,
 * wherever it is installed, that it wants to run scripts.
 */
export function packagedManifest(repositoryManifest: string): string {
  const manifest = JSON.parse(repositoryManifest) as Manifest
  const { prepack = '', postpack = '', prepare = '' } = manifest.scripts
  manifest.scripts = { prepack, postpack, postprepare: prepare }
  for (const [name, target] of Object.entries(manifest.bin)) manifest.bin[name] = compiledTarget(target)
  for (const [name, target] of Object.entries(manifest.exports)) {
    if (typeof target !== 'string' || !target.endsWith('.ts')) continue
    const compiled = `./${compiledTarget(target)}`
    manifest.exports[name] = { types: compiled.replace(/\.js$/, '.d.ts'), default: compiled }
  }
  return `${JSON.stringify(manifest, null, 2)}\n`
}

const manifestPath = (root: string): string => join(root, 'package.json')
// In dist/ because that is ignored by git, never packed as a whole, and outlives a reinstall of node_modules.
const backupPath = (root: string): string => join(root, 'dist', 'package.json.repository')

/** Swaps in the package's manifest; the repository's is kept until `restoreManifest`. */
export function swapManifest(root: string): void {
  const original = readFileSync(manifestPath(root), 'utf8')
  mkdirSync(dirname(backupPath(root)), { recursive: true })
  replaceFile(backupPath(root), original)
  replaceFile(manifestPath(root), packagedManifest(original))
}

/**
 * Puts the repository's manifest back, byte for byte. A package.json that was edited since the swap is left as it is:
 * whoever edited it has the last word. Returns whether it put anything back.
 */
export function restoreManifest(root: string): boolean {
  if (!existsSync(backupPath(root))) return false
  const original = readFileSync(backupPath(root), 'utf8')
  const swapped = readFileSync(manifestPath(root), 'utf8') === packagedManifest(original)
  if (swapped) replaceFile(manifestPath(root), original)
  rmSync(backupPath(root))
  return swapped
}

/** By rename, so that a crash leaves the old or the new file and never a torn one. */
function replaceFile(path: string, content: string): void {
  const temporary = join(dirname(path), `.${process.pid}.tmp`)
  writeFileSync(temporary, content)
  renameSync(temporary, path)
}
