import { checkModel, modelChecks, modelRefusal } from './model-check.ts'

/**
 * `npm run models [-- --full]`: checks the Promela models of the replicated journal exhaustively with Spin, for each quorum, and that
 * each planted mistake is found. Exits 1 if anything is otherwise, 2 where `spin` or `gcc` is missing.
 */
const isFull = process.argv.includes('--full')
const refusal = modelRefusal()
if (refusal === null) {
  for (const check of modelChecks) {
    if (check.isLong === true && !isFull) continue
    const { model, defines, holds } = check
    const { errors, states, isRight } = checkModel(check)
    const expected = holds ? 'holds' : 'is found'
    console.log(
      `${isRight ? 'ok' : 'FAILED'} ${model} ${defines.join(' ')} ${expected}: ${errors} errors, ${states} states`,
    )
    if (!isRight) process.exitCode = 1
  }
} else {
  console.error(`models: ${refusal}`)
  process.exitCode = 2
}
