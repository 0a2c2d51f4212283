import type { HttpAnswer, HttpRoute, JsonSchema, Parameters } from './http-route.ts'
import { commonAnswers, components } from './http-schemas.ts'

/** The OpenAPI 3.1 document of the routes: made of what checks their requests, so that the two cannot disagree. */
export function openApiOf(routes: readonly HttpRoute[], version: string, hasTokens: boolean): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route, hasTokens) }
  }
  const security = {
    securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'A token of security.tokens' } },
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'CommanderDB',
      version,
      description:
        'LSNs, revisions and positions are numbers. Times are ISO 8601, UTC. Errors are problem details (RFC 9457).',
    },
    paths,
    components: hasTokens ? { schemas: components, ...security } : { schemas: components },
  }
}

function operationOf(route: HttpRoute, hasTokens: boolean): object {
  const { operation, summary, description, scopes, params, query, headers, body, requiredQuery } = route
  const parameters = [
    ...parametersOf('path', params, Object.keys(params ?? {})),
    ...parametersOf('query', query, requiredQuery ?? []),
    ...parametersOf('header', headers, []),
  ]
  return {
    operationId: operation,
    summary,
    ...(description === undefined ? {} : { description }),
    ...(hasTokens && scopes !== null ? { security: scopes.map((scope) => ({ token: [scope] })) } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: false, content: contentOf({ 'application/json': body }) } }),
    responses: responsesOf(route),
  }
}

const parametersOf = (place: string, parameters: Parameters | undefined, required: readonly string[]): object[] =>
  Object.entries(parameters ?? {}).map(([name, { description, ...schema }]) => ({
    name,
    in: place,
    ...(required.includes(name) ? { required: true } : {}),
    ...(description === undefined ? {} : { description }),
    schema,
  }))

function responsesOf({ answers, scopes }: HttpRoute): object {
  const all = scopes === null ? answers : { ...commonAnswers, ...answers }
  return Object.fromEntries(Object.entries(all).map(([status, answer]) => [status, responseOf(answer)]))
}

const responseOf = ({ description, content, headers }: HttpAnswer): object => ({
  description,
  ...(headers === undefined
    ? {}
    : { headers: Object.fromEntries(Object.entries(headers).map(([name, schema]) => [name, { schema }])) }),
  ...(content === undefined ? {} : { content: contentOf(content) }),
})

const contentOf = (content: Readonly<Record<string, JsonSchema>>): object =>
  Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }]))
