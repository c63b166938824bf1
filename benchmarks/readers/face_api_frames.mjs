// @vladmandic/face-api (npm) on frames, by the package's own code in node, with its wasm backend on one thread.
// node face_api_frames.mjs FOLDER FILE WIDTH HEIGHT ROUNDS tiny|ssd: FOLDER is node_modules/@vladmandic/face-api, after
// npm install --ignore-scripts @vladmandic/face-api@1.7.15 @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0
// FILE holds raw frames (RGB). Prints JSON: seconds of each round, frames with a face.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [folder, file, ...rest] = process.argv.slice(2);
const [width, height, rounds] = rest.slice(0, 3).map(Number);
const require = createRequire(resolve(folder, 'package.json'));
require('@tensorflow/tfjs-backend-wasm').setThreadsCount(1);
const faceapi = require('./dist/face-api.node-wasm.js');
const { tf } = faceapi;
await tf.setBackend('wasm');
await tf.ready();

async function load(net, name) {
  const [{ weights }] = JSON.parse(readFileSync(resolve(folder, `model/${name}-weights_manifest.json`)));
  const content = Uint8Array.from(readFileSync(resolve(folder, `model/${name}.bin`))).buffer;
  net.loadFromWeightMap(tf.io.decodeWeights(content, weights));
}
const tiny = rest[3] === 'tiny';
await load(faceapi.nets.faceExpressionNet, 'face_expression_model');
if (tiny) await load(faceapi.nets.tinyFaceDetector, 'tiny_face_detector_model');
else await load(faceapi.nets.ssdMobilenetv1, 'ssd_mobilenetv1_model');
const options = tiny ? new faceapi.TinyFaceDetectorOptions() : new faceapi.SsdMobilenetv1Options();

const pixels = readFileSync(file);
const size = width * height * 3;
const frames = pixels.length / size;
const seconds = [];
let found = 0;
for (let round = 0; round <= rounds; round += 1) {
  found = 0;
  const began = process.hrtime.bigint();
  for (let n = 0; n < frames; n += 1) {
    const frame = tf.tensor3d(Uint8Array.from(pixels.subarray(n * size, (n + 1) * size)), [height, width, 3], 'int32');
    const read = await faceapi.detectAllFaces(frame, options).withFaceExpressions();
    found += read.length > 0 ? 1 : 0;
    tf.dispose(frame);
  }
  seconds.push(Number(process.hrtime.bigint() - began) / 1e9);
}
console.log(JSON.stringify({ frames, with_face: found, seconds: seconds.slice(1) }));
