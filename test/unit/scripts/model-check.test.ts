import { expect, it } from 'vitest'
import { checkModel, modelChecks, modelRefusal } from '../../../scripts/model-check.ts'

/** Each is found within a moment; that the models hold takes minutes: `npm run models`. */
const quick = [
  'append-and-seal.pml QA=2 M_VOLATILE',
  'append-and-seal.pml QA=2 QS=1',
  'next-group.pml QA=2 M_WIPE',
  'next-group.pml QA=3 QC=1',
  'reconfigure.pml QA=3 QC=1',
]

it.for(quick)('the mistake %s is found in its model', { timeout: 120_000 }, (name, context) => {
  const refusal = modelRefusal()
  if (refusal !== null) return context.skip(refusal)
  const check = modelChecks.find(({ model, defines }) => `${model} ${defines.join(' ')}` === name)
  expect(check).toMatchObject({ holds: false })
  if (check !== undefined) expect(checkModel(check)).toMatchObject({ errors: 1, isRight: true })
})
