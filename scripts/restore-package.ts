import { resolve } from 'node:path'
import { restoreManifest } from './package-manifest.ts'

/** npm's postpack step: package.json points into src/ again. */
restoreManifest(resolve(import.meta.dirname, '..'))
