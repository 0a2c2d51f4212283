import { readBack } from './read-back.ts'

/** A program: a client in its own process that reads every event. Arguments: data directory, events, passes. */
const [dataDir = '', events, passes] = process.argv.slice(2)
process.send?.(await readBack(dataDir, Number(events), Number(passes)))
process.exit()
