/**
 * The HTTP edge: the table of operations as routes, JSON in and out, problems as problem+json. It knows nothing of
 * volumes; every request ends in one call of the control plane's handler of the same name.
 *
 * Validation happens here once and strictly: no coercion, no defaults, no silently removed properties. What comes
 * through has the type that api/operations.ts promises. A handler answers with a value; when one throws, that is a
 * fault of ours: `onFault` decides, and in the server it ends the process.
 */

import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import {
  type ControlPlane,
  EVENT_STREAM_PATH,
  type Handlers,
  type Input,
  type OperationName,
  operations,
} from '../api/operations.ts';
import { EventsQuery } from '../api/schema.ts';
import type { Outcome } from '../core/problems.ts';
import { EventStreams } from './event-stream.ts';
import { problemOfLibrary, sendProblem } from './problem-reply.ts';
import { requestSchemas } from './routes.ts';

/** The largest request is a create with 64 drive paths of 4 KiB. */
const BODY_BYTES_MAX = 512 * 1024;
const KEEP_ALIVE_MS = 5_000;

export interface AppOptions {
  readonly control: ControlPlane;
  readonly onFault: (error: unknown) => void;
}

/** 202: begun, and followed by other requests. */
interface OperationRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly status?: number;
}

// Which input belongs to which handler is the table's business; past this line the pair is always of one name.
type AnyHandler = (input: Input<OperationName>) => Promise<Outcome<object>>;

export function buildApp({ control, onFault }: AppOptions): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false } },
  });
  const streams = new EventStreams(control);

  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = problemOfLibrary(error, request);
    if (problem) return sendProblem(reply, problem);
    onFault(error);
    return sendProblem(reply, { code: 'internal', detail: { reason: error.message } });
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, {
      code: 'request-unknown',
      detail: { method: request.method, path: request.url.slice(0, 200) },
    }),
  );
  // A POST without a body means one without options.
  app.addHook('preValidation', async (request) => {
    if (request.method === 'POST' && (request.body === undefined || request.body === null))
      request.body = {};
  });
  app.addHook('onClose', async () => streams.close());

  for (const name of Object.keys(operations) as OperationName[]) {
    const { method, path, status = 200 } = operations[name] as OperationRoute;
    const handler = control.handlers[name as keyof Handlers] as unknown as AnyHandler;
    app.route({
      method,
      url: path,
      schema: requestSchemas[name],
      handler: (request, reply) => answer(handler, request, reply.code(status)),
    });
  }

  app.get(EVENT_STREAM_PATH, { schema: { querystring: EventsQuery } }, (request, reply) => {
    if (streams.full) {
      return sendProblem(reply, {
        code: 'server-busy',
        detail: { reason: 'too many event streams' },
      });
    }
    const query = request.query as EventsQuery;
    const resumed = request.headers['last-event-id'];
    const after = typeof resumed === 'string' && /^\d{1,15}$/.test(resumed) ? resumed : query.after;
    reply.hijack();
    streams.start(
      reply.raw,
      after === undefined ? Number.MAX_SAFE_INTEGER : Number(after),
      query.volume ?? null,
    );
    return reply;
  });
  return app;
}

async function answer(
  handler: AnyHandler,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const input = {
    params: request.params,
    query: request.query,
    body: request.body ?? {},
  } as Input<OperationName>;
  const outcome = await handler(input);
  return outcome.ok ? reply.send(outcome.value) : sendProblem(reply, outcome.problem);
}
