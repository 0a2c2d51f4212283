import { resolve } from 'node:path'
import { tidy } from './tidy-check.ts'

/** `node scripts/tidy.ts [ROOT]`: exits 1 and lists what is untidy. In the spirit of TigerBeetle's src/tidy.zig. */
const findings = tidy(resolve(process.argv[2] ?? resolve(import.meta.dirname, '..')))
for (const finding of findings) console.error(finding)
console.log(`tidy: ${findings.length} findings`)
process.exitCode = findings.length > 0 ? 1 : 0
