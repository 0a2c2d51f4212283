import type { HttpContext, HttpExchange, HttpRoute } from './http-route.ts'
import { anything, json, object, problem, text } from './http-schemas.ts'

const prometheusText = 'text/plain; version=0.0.4; charset=utf-8'

/** @param openApi the document of all routes, made when it is first asked for */
export function systemRoutes({ gateway, status, metrics }: HttpContext, openApi: () => object): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/status',
      operation: 'getStatus',
      summary: 'The database and its processes',
      scopes: ['read', 'operate'],
      answers: { 200: json('The status', anything('As of `commanderdb status --json`')) },
      handle: (exchange) => later(exchange, status(), (value) => exchange.json(200, value)),
    },
    {
      method: 'GET',
      path: '/metrics',
      operation: 'getMetrics',
      summary: 'Metrics of all processes, for Prometheus',
      scopes: ['read', 'operate'],
      answers: { 200: { description: 'The metrics', content: { 'text/plain': text('Text format 0.0.4') } } },
      handle: (exchange) => later(exchange, metrics(), (value) => exchange.text(200, value, prometheusText)),
    },
    {
      method: 'GET',
      path: '/livez',
      operation: 'isAlive',
      summary: 'The gateway runs',
      scopes: null,
      answers: { 200: json('It does', object({ alive: { const: true } })) },
      handle: (exchange) => exchange.json(200, { alive: true }),
    },
    {
      method: 'GET',
      path: '/readyz',
      operation: 'isReady',
      summary: 'The database takes commands',
      scopes: null,
      answers: {
        200: json('It does', object({ ready: { const: true } })),
        503: problem('It is starting, stopping or recovering, or another node leads'),
      },
      handle: (exchange) => {
        const { refusal } = gateway
        if (refusal === null) exchange.json(200, { ready: true })
        else exchange.fail(refusal)
      },
    },
    {
      method: 'GET',
      path: '/openapi.json',
      operation: 'getOpenApi',
      summary: 'This document',
      scopes: null,
      answers: { 200: json('OpenAPI 3.1', anything('The document')) },
      handle: (exchange) => exchange.json(200, openApi()),
    },
  ]
}

function later<Value>(exchange: HttpExchange, promise: Promise<Value>, answer: (value: Value) => void): void {
  promise.then(answer).catch((error: unknown) => exchange.fail(error))
}
