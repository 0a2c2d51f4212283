import { isUtf8 } from 'node:buffer'
import { digestBytes } from '../kernel/checksum.ts'
import { CommanderError } from '../kernel/errors.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'

/** How a value of a type lies in a message: written and read by one declaration, little-endian, with nothing between. */
export interface Wire<Value> {
  write(to: WireWriter, value: Value): void
  /** @throws CommanderError protocol_violation for anything that `write` does not write */
  read(from: WireReader): Value
}

/** Bytes that grow, and buffers that are passed on as they are behind them. */
export class WireWriter {
  readonly parts: Buffer[] = []
  private bytes = Buffer.allocUnsafe(512)
  private length = 0

  /** Room for so many bytes; returns where it begins in `target`. */
  take(count: number): number {
    const at = this.length
    this.length += count
    if (this.length > this.bytes.length) {
      const larger = Buffer.allocUnsafe(2 * this.length)
      this.bytes.copy(larger, 0, 0, at)
      this.bytes = larger
    }
    return at
  }

  get target(): Buffer {
    return this.bytes
  }

  finish(): Buffer[] {
    return [this.bytes.subarray(0, this.length), ...this.parts]
  }
}

export class WireReader {
  readonly source: Buffer
  private at = 0

  constructor(source: Buffer) {
    this.source = source
  }

  /** Where the next so many bytes begin. */
  take(count: number): number {
    const at = this.at
    if (count > this.source.length - at) throw malformed(`it ends ${count - (this.source.length - at)} bytes too early`)
    this.at += count
    return at
  }

  get leftBytes(): number {
    return this.source.length - this.at
  }

  finish(): void {
    if (this.leftBytes > 0) throw malformed(`it has ${this.leftBytes} bytes too many`)
  }
}

export const malformed = (what: string): CommanderError =>
  new CommanderError('protocol_violation', `a replication message is malformed: ${what}`)

export const u8: Wire<number> = {
  write(to, value) {
    const at = to.take(1)
    to.target.writeUInt8(value, at)
  },
  read: (from) => from.source.readUInt8(from.take(1)),
}

export const u32: Wire<number> = {
  write(to, value) {
    const at = to.take(4)
    to.target.writeUInt32LE(value, at)
  },
  read: (from) => from.source.readUInt32LE(from.take(4)),
}

/** LSNs, epochs and the like: u64, a safe integer. */
export const number = <Value extends number>(): Wire<Value> => ({
  write(to, value) {
    const at = to.take(8)
    writeUint64(to.target, value, at)
  },
  read(from) {
    const value = readUint64(from.source, from.take(8))
    if (!Number.isSafeInteger(value)) throw malformed(`${value} is too large a number`)
    return value as Value
  },
})

export const boolean: Wire<boolean> = {
  write: (to, value) => u8.write(to, value ? 1 : 0),
  read(from) {
    const value = u8.read(from)
    if (value > 1) throw malformed(`${value} is neither true nor false`)
    return value === 1
  },
}

export const digest: Wire<Buffer> = {
  write(to, value) {
    const at = to.take(digestBytes)
    value.copy(to.target, at, 0, digestBytes)
  },
  read(from) {
    const at = from.take(digestBytes)
    return from.source.subarray(at, at + digestBytes)
  },
}

/** @param bytesMax in UTF-8, below 65,536 */
export const text = (bytesMax: number): Wire<string> => ({
  write(to, value) {
    const bytes = Buffer.byteLength(value)
    if (bytes > bytesMax) throw malformed(`a text of ${bytes} bytes, at most ${bytesMax}`)
    const at = to.take(2 + bytes)
    to.target.writeUInt16LE(bytes, at)
    to.target.write(value, at + 2)
  },
  read(from) {
    const bytes = from.source.readUInt16LE(from.take(2))
    if (bytes > bytesMax) throw malformed(`a text of ${bytes} bytes, at most ${bytesMax}`)
    const at = from.take(bytes)
    const found = from.source.subarray(at, at + bytes)
    if (!isUtf8(found)) throw malformed('a text is no UTF-8')
    return found.toString('utf8')
  },
})

export const nullable = <Value>(wire: Wire<Value>): Wire<Value | null> => ({
  write(to, value) {
    boolean.write(to, value !== null)
    if (value !== null) wire.write(to, value)
  },
  read: (from) => (boolean.read(from) ? wire.read(from) : null),
})

export const list = <Value>(wire: Wire<Value>, countMax: number): Wire<readonly Value[]> => ({
  write(to, values) {
    if (values.length > countMax) throw malformed(`${values.length} in a list, at most ${countMax}`)
    u32.write(to, values.length)
    for (const value of values) wire.write(to, value)
  },
  read(from) {
    const count = u32.read(from)
    // each takes a byte at least, so nobody makes us gather what is not there
    if (count > countMax || count > from.leftBytes) throw malformed(`${count} in a list, at most ${countMax}`)
    return Array.from({ length: count }, () => wire.read(from))
  },
})

export type Fields<Value> = { readonly [Name in keyof Value]-?: Wire<Value[Name]> }

/** Its fields in the order of the declaration. */
export function record<Value extends object>(fields: Fields<Value>): Wire<Value> {
  const names = Object.keys(fields) as (keyof Value)[]
  return {
    write(to, value) {
      for (const name of names) fields[name].write(to, value[name])
    },
    read(from) {
      const value = {} as { [Name in keyof Value]: Value[Name] }
      for (const name of names) value[name] = fields[name].read(from)
      return value
    },
  }
}

type Named<Tag extends string> = { readonly [Name in Tag]: string }
type Variant<Union, Tag extends string, Name> = Union extends { readonly [Key in Tag]: Name } ? Union : never

/** Of each variant its number and its other fields; numbers are never used again. */
export type Variants<Union extends Named<Tag>, Tag extends string> = {
  readonly [Name in Union[Tag]]: readonly [code: number, wire: Wire<Omit<Variant<Union, Tag, Name>, Tag>>]
}

/** A closed union, told apart by a name. */
export class UnionWire<Union extends Named<Tag>, Tag extends string> {
  private readonly tag: Tag
  private readonly variants: Readonly<Record<string, readonly [number, Wire<object>]>>
  private readonly names = new Map<number, string>()

  constructor(tag: Tag, variants: Variants<Union, Tag>) {
    this.tag = tag
    this.variants = variants as unknown as Readonly<Record<string, readonly [number, Wire<object>]>>
    for (const [name, [code]] of Object.entries(this.variants)) this.names.set(code, name)
  }

  codeOf(value: Union): number {
    return this.variantOf(value[this.tag])[0]
  }

  writeFields(to: WireWriter, value: Union): void {
    this.variantOf(value[this.tag])[1].write(to, value)
  }

  readFields(from: WireReader, code: number): Union {
    const name = this.names.get(code)
    if (name === undefined) throw malformed(`there is no ${this.tag} ${code}`)
    return { [this.tag]: name, ...this.variantOf(name)[1].read(from) } as unknown as Union
  }

  private variantOf(name: string): readonly [number, Wire<object>] {
    const variant = this.variants[name]
    if (variant === undefined) throw malformed(`there is no ${this.tag} ${name}`)
    return variant
  }
}

/** As a value among others, with its number in front. */
export const union = <Union extends Named<Tag>, Tag extends string>(
  tag: Tag,
  variants: Variants<Union, Tag>,
): Wire<Union> => {
  const wire = new UnionWire<Union, Tag>(tag, variants)
  return {
    write(to, value) {
      u8.write(to, wire.codeOf(value))
      wire.writeFields(to, value)
    },
    read: (from) => wire.readFields(from, u8.read(from)),
  }
}
