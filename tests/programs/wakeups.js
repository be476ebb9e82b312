// A token makes 50,000 hops round a ring of worker threads: every hop wakes another event loop.
// Then files are written and read back by the thread pool, whose answers wake the loop too.
'use strict';
const assert = require('assert');
const fs = require('fs').promises;
const os = require('os');
const path = require('path');
const { Worker, MessageChannel, isMainThread, workerData, parentPort } = require('worker_threads');

const HOPS = 50000;
const WORKERS = 4;
const FILES = 300;

function work({ from, to }) {
	let seen = 0;
	from.on('message', (left) => {
		seen++;
		if (left > 0)
			to.postMessage(left - 1);
		else
			parentPort.postMessage('arrived');
	});
	parentPort.on('message', (order) => {
		if (order === 'start') {
			to.postMessage(HOPS - 1);
			return;
		}
		from.close();
		parentPort.postMessage(seen);
		parentPort.close();
	});
}

function startRing() {
	const channels = Array.from({ length: WORKERS }, () => new MessageChannel());
	return channels.map((channel, i) => {
		const from = channel.port2;
		const to = channels[(i + 1) % WORKERS].port1;
		return new Worker(__filename, { workerData: { from, to }, transferList: [from, to] });
	});
}

function answerOf(worker) {
	return new Promise((resolve, reject) => {
		worker.once('message', resolve);
		worker.once('error', reject);
	});
}

async function passTheToken() {
	const ring = startRing();
	const arrived = Promise.race(ring.map(answerOf));
	ring[0].postMessage('start');
	assert.strictEqual(await arrived, 'arrived');
	const counts = await Promise.all(ring.map((worker) => {
		const answer = answerOf(worker);
		worker.postMessage('report');
		return answer;
	}));
	assert.deepStrictEqual(counts, Array(WORKERS).fill(HOPS / WORKERS));
	return counts;
}

async function writeAndReadFiles() {
	const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'wakeups-'));
	const numbers = Array.from({ length: FILES }, (_, i) => i);
	const name = (i) => path.join(directory, String(i));
	await Promise.all(numbers.map((i) => fs.writeFile(name(i), 'x'.repeat(i))));
	const contents = await Promise.all(numbers.map((i) => fs.readFile(name(i), 'utf8')));
	await fs.rm(directory, { recursive: true });
	assert.deepStrictEqual(contents.map((text) => text.length), numbers);
}

async function main() {
	const counts = await passTheToken();
	await writeAndReadFiles();
	console.log(`${HOPS} wake-ups across ${WORKERS} threads: ${counts.join(' ')}; ${FILES} files`);
}

if (isMainThread)
	main();
else
	work(workerData);
