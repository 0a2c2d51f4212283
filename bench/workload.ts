/** With it a command has about 200 bytes, as encoded by msgpack with its aggregate, its name and its time. */
const memo = 'a payment whose text brings the payload to about two hundred bytes, as real ones are'

/** The same for the limit and for the database. */
export const deposit: { readonly amount: number; readonly currency: string; readonly memo: string } = {
  amount: 5,
  currency: 'EUR',
  memo,
}

export const accounts = 1000
