import { resolve } from 'node:path'
import { checkImports } from './import-check.ts'
import { readSourceFiles } from './source-file.ts'

/** `node scripts/check-imports.ts [ROOT]`: exits 1 and lists what breaks scripts/import-rules.ts. */
const root = resolve(process.argv[2] ?? resolve(import.meta.dirname, '..'))
const files = readSourceFiles(root, ['src', 'processes'])
const violations = checkImports(files)

for (const { path, line, rule, message } of violations) console.error(`${path}:${line} [${rule}] ${message}`)
console.log(`import rules: ${files.length} files, ${violations.length} violations`)
// No file at all means that the rules looked at nothing, which must not pass for a clean tree.
process.exitCode = violations.length > 0 || files.length === 0 ? 1 : 0
