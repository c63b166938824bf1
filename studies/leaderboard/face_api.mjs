// The expression network of @vladmandic/face-api by the package's own code, to hold the port of peers.py against.
// node face_api.mjs FOLDER: grey pictures of 48x48 bytes on standard input -> seven float32 each on standard output;
// on standard error the seconds of processor time. FOLDER is node_modules/@vladmandic/face-api, after
// npm install --ignore-scripts @vladmandic/face-api@1.7.15 @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const folder = resolve(process.argv[2]);
const require = createRequire(resolve(folder, 'package.json'));
require('@tensorflow/tfjs-backend-wasm').setThreadsCount(1);
const faceapi = require('./dist/face-api.node-wasm.js');
const { tf } = faceapi;
await tf.setBackend('wasm');
await tf.ready();
const [{ weights }] = JSON.parse(readFileSync(resolve(folder, 'model/face_expression_model-weights_manifest.json')));
const content = Uint8Array.from(readFileSync(resolve(folder, 'model/face_expression_model.bin'))).buffer;
const net = faceapi.nets.faceExpressionNet;
net.loadFromWeightMap(tf.io.decodeWeights(content, weights));

const pixels = readFileSync(0);
const found = new Float32Array((pixels.length / 2304) * 7);
const began = process.cpuUsage();
for (let n = 0; n * 2304 < pixels.length; n += 1) {
  const grey = tf.tensor3d(Uint8Array.from(pixels.subarray(n * 2304, (n + 1) * 2304)), [48, 48, 1], 'int32');
  const colour = tf.tile(grey, [1, 1, 3]);
  const read = await net.predictExpressions(colour);
  const shares = ['neutral', 'happy', 'sad', 'angry', 'fearful', 'disgusted', 'surprised'].map((key) => read[key]);
  found.set(shares, n * 7);
  tf.dispose([grey, colour]);
}
const used = process.cpuUsage(began);
process.stderr.write(`${(used.user + used.system) / 1e6}\n`);
process.stdout.write(Buffer.from(found.buffer));
