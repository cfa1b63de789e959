/** Problems as HTTP replies (RFC 9457), and the HTTP library's own errors as problems. */

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { catalogue, explain } from '../api/errors.ts';
import type { ProblemReply } from '../api/schema.ts';
import type { Problem } from '../core/problems.ts';

export function problemReply(problem: Problem): ProblemReply {
  const { httpStatus, exitCode } = catalogue[problem.code];
  const { message, fix } = explain(problem);
  return {
    type: `urn:locum:problem:${problem.code}`,
    title: problem.code.replaceAll('-', ' '),
    status: httpStatus,
    code: problem.code,
    message,
    fix,
    exitCode,
    detail: { ...problem.detail },
    checks: problem.checks ? [...problem.checks] : [],
  };
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const body = problemReply(problem);
  return reply
    .code(body.status)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .send(JSON.stringify(body));
}

/**
 * What the HTTP library refused by itself (validation, size, JSON syntax, content type) as a problem; null when the
 * error is not of that kind and therefore a fault of ours.
 */
export function problemOfLibrary(error: FastifyError, request: FastifyRequest): Problem | null {
  if (error.validation) {
    // A name that cannot be a volume's is not one of ours.
    if (error.validationContext === 'params') {
      const { volume } = request.params as { volume?: string };
      return { code: 'volume-unknown', detail: { volume: volume || 'without a name' } };
    }
    const first = error.validation[0];
    const where = [
      error.validationContext,
      ...(first?.instancePath ?? '').split('/').filter(Boolean),
    ].join('.');
    const parameters: Record<string, unknown> = first?.params ?? {};
    const subject = parameters['additionalProperty'] ?? parameters['allowedValues'];
    const named = subject === undefined ? '' : ` (${JSON.stringify(subject)})`;
    const what = `${first?.message ?? 'is not valid'}${named}`;
    return { code: 'request-invalid', detail: { reason: `${where} ${what}` } };
  }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return { code: 'request-invalid', detail: { reason: error.message } };
  }
  return null;
}
