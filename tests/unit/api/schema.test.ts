import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TSchema } from 'typebox';
import { Check } from 'typebox/value';
import * as schema from '../../../src/api/schema.ts';
import { sampleReport, sampleStatus } from './samples.ts';

const roundTrip = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test('a status survives JSON and fits its schema', () => {
  const reply = { apiVersion: schema.API_VERSION, volumes: [sampleStatus()] };
  assert.ok(Check(schema.StatusReply, roundTrip(reply)));
});

test('the status has exactly the fields that the contract names, at least', () => {
  const named = [
    'name',
    'uuid',
    'level',
    'state',
    'sizeBytes',
    'chunkBytes',
    'io',
    'redundancy',
    'writeHole',
    'drives',
    'log',
    'window',
    'jobs',
    'alarms',
  ];
  const properties = Object.keys(schema.VolumeStatus.properties);
  for (const name of named) assert.ok(properties.includes(name), name);
});

test('a state word that is none is refused', () => {
  const reply = { apiVersion: schema.API_VERSION, volumes: [{ ...sampleStatus(), state: 'fine' }] };
  assert.equal(Check(schema.StatusReply, reply), false);
});

test('a window report fits its schema, open and closed', () => {
  for (const report of [
    sampleReport(),
    sampleReport({ closedAt: '2026-01-01T00:10:00.000Z', state: 'closed' }),
  ]) {
    assert.ok(
      Check(schema.WindowReply, roundTrip({ apiVersion: schema.API_VERSION, window: report })),
    );
  }
});

test('requests refuse what they do not know, and values out of range', () => {
  const good: [TSchema, object][] = [
    [schema.CreateBody, { name: 'v', level: 5, drives: ['/a', '/b', '/c'], logs: [] }],
    [schema.WindowBody, { drive: '1', purpose: 'firmware' }],
    [schema.CloseBody, {}],
    [schema.DestroyBody, { confirm: 'v' }],
  ];
  for (const [type, body] of good) {
    assert.ok(Check(type, body), JSON.stringify(body));
    assert.equal(Check(type, { ...body, misspelt: true }), false, 'an unknown property');
  }
  const bad: [TSchema, object][] = [
    [schema.CreateBody, { name: 'v', level: 5, drives: ['relative'], logs: [] }],
    [schema.CreateBody, { name: 'v', level: '5', drives: ['/a'], logs: [] }],
    [schema.CreateBody, { name: 'v', level: 5, drives: Array(65).fill('/a'), logs: [] }],
    [schema.WindowBody, { drive: '1', purpose: 'holiday' }],
    [schema.WindowBody, { drive: '1', purpose: 'reset', maxMs: -1 }],
    [schema.WindowBody, { drive: '1', purpose: 'reset', maxMs: 1.5 }],
    [schema.ExtendBody, { byMs: 0 }],
    [schema.VolumeParams, { volume: '../etc' }],
    [schema.EventsQuery, { limit: 'many' }],
  ];
  for (const [type, body] of bad) assert.equal(Check(type, body), false, JSON.stringify(body));
});
