import assert from 'node:assert/strict';
import test from 'node:test';
import { compareFacts, type DriveFacts, saidOfDiffer } from '../../../src/core/drive-facts.ts';

const facts: DriveFacts = {
  path: '/dev/sdb',
  transport: 'scsi',
  model: 'ACME 4000',
  serial: 'S1',
  firmware: '0001',
  capacityBytes: 4_000,
  logicalBlockBytes: 512,
  physicalBlockBytes: 4096,
  health: 'ok',
  healthNote: '',
};

const differs = (change: Partial<DriveFacts>, before: Partial<DriveFacts> = {}) =>
  compareFacts({ ...facts, ...before }, { ...facts, ...change })?.what ?? null;

test('new firmware, another path and another name of the model are the same drive', () => {
  assert.equal(differs({ firmware: '0002', path: '/dev/sdq', model: 'ACME 4000 rev B' }), null);
});

test('another serial number, capacity or block size is told, with both values', () => {
  assert.deepEqual(compareFacts(facts, { ...facts, serial: 'S2' }), {
    what: 'serial',
    before: 'S1',
    after: 'S2',
  });
  assert.equal(differs({ capacityBytes: 3_999 }), 'capacity');
  assert.equal(differs({ logicalBlockBytes: 4096 }), 'block-size');
  assert.equal(differs({ physicalBlockBytes: 512 }), 'block-size');
});

test('without a serial number the model has to be the same', () => {
  assert.equal(differs({ serial: '', model: 'other' }), 'model');
  assert.equal(differs({ model: 'other' }, { serial: '' }), 'model');
});

test('what is not given on one side is not compared', () => {
  assert.equal(differs({ serial: '', model: '' }), null);
  assert.equal(differs({ capacityBytes: null, logicalBlockBytes: null }), null);
  assert.equal(differs({}, { physicalBlockBytes: null }), null);
});

test('what differs, in words', () => {
  const said = (change: Partial<DriveFacts>) =>
    saidOfDiffer(compareFacts(facts, { ...facts, ...change })!);
  assert.equal(said({ serial: 'S2' }), `its serial is S2, it was ${facts.serial}`);
  const { capacityBytes, logicalBlockBytes } = facts;
  assert.equal(
    said({ capacityBytes: 7 }),
    `its capacity is 7 bytes, it was ${capacityBytes} bytes`,
  );
  const smaller = `its block size is 1 bytes, it was ${logicalBlockBytes} bytes`;
  assert.equal(said({ logicalBlockBytes: 1 }), smaller);
});
