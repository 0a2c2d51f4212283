/** Thrown by `continueAsNew`, through the user's code. */
export class ContinueAsNew extends Error {
  readonly input: unknown

  constructor(input: unknown) {
    super('the workflow goes on in a new run')
    this.name = 'ContinueAsNew'
    this.input = input
  }
}
