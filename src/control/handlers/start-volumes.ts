/** The operations that start a volume: a new one, or one that its drives carry. */

import type { Handlers, Input } from '../../api/operations.ts';
import { type StatusReply, VOLUME_NAME_PATTERN } from '../../api/schema.ts';
import { type Outcome, type ProblemCode, refuse } from '../../core/problems.ts';
import type { ClaimedPaths } from '../claims.ts';
import type { KnownVolume } from '../known-volumes.ts';
import { reply } from '../replies.ts';
import type { VolumeTable } from '../volume-table.ts';

const volumeName = new RegExp(VOLUME_NAME_PATTERN);

export function startHandlers(
  table: VolumeTable,
): Pick<Handlers, 'volumeCreate' | 'volumeAssemble'> {
  return {
    volumeCreate: (input) => create(table, input),
    volumeAssemble: (input) => assemble(table, input),
  };
}

function create(
  table: VolumeTable,
  { body }: Input<'volumeCreate'>,
): Promise<Outcome<StatusReply>> {
  const { name } = body;
  if (!volumeName.test(name)) return Promise.resolve(refuse('volume-name-invalid', { name }));
  if (table.entries.has(name)) return Promise.resolve(refuse('volume-exists', { volume: name }));
  return table.exclusively(name, async () => {
    const outcome = await table.start(name, 'create', {
      name,
      level: body.level,
      drivePaths: body.drives,
      logPaths: body.logs,
      chunkBytes: body.chunkBytes ?? null,
      imageSizeBytes: body.imageSizeBytes ?? null,
      logSizeBytes: body.logSizeBytes ?? null,
      assumeClean: body.assumeClean === true,
      force: body.force === true,
    });
    return outcome.ok ? reply({ volumes: [outcome.value] }) : outcome;
  });
}

/** By name alone (a known volume), by drives alone (the name is on them), or both. */
function assemble(
  table: VolumeTable,
  { body }: Input<'volumeAssemble'>,
): Promise<Outcome<StatusReply>> {
  const known =
    body.name === undefined ? knownByPaths(table, body) : table.options.known.get(body.name);
  const name = body.name ?? known?.name ?? null;
  if (name !== null && table.entries.get(name)?.handle) {
    const crashed = table.entries.get(name)?.problem;
    return Promise.resolve(
      crashed ? { ok: false, problem: crashed } : refuse('volume-exists', { volume: name }),
    );
  }
  const drivePaths = body.drives.length > 0 ? body.drives : (known?.drives ?? []);
  const logPaths = body.logs.length > 0 ? body.logs : (known?.logs ?? []);
  if (drivePaths.length === 0) {
    const problem: ProblemCode = body.name === undefined ? 'argument-invalid' : 'volume-unknown';
    return Promise.resolve(
      refuse(problem, {
        volume: body.name ?? '',
        name: '--drive',
        expected: 'the drives of the volume',
      }),
    );
  }
  const key = name ?? `(assembling ${drivePaths[0]})`;
  return table.exclusively(key, async () => {
    const force = body.force === true;
    const asKnown = known !== null && body.drives.length === 0 && body.logs.length === 0;
    const outcome = asKnown
      ? await table.startKnown(known, force)
      : await table.start(key, 'assemble', { name, drivePaths, logPaths, force });
    return outcome.ok ? reply({ volumes: [outcome.value] }) : outcome;
  });
}

/** The volume that is known, does not run, and has one of these paths: then that one is meant. */
function knownByPaths(table: VolumeTable, { drives, logs }: ClaimedPaths): KnownVolume | null {
  const given = new Set([...drives, ...logs]);
  const fits = (volume: KnownVolume): boolean =>
    !table.entries.get(volume.name)?.handle &&
    [...volume.drives, ...volume.logs].some((path) => given.has(path));
  return table.options.known.all().find(fits) ?? null;
}
