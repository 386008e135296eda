PRAGMA application_id = 1819045222;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE answers (
        answer INTEGER PRIMARY KEY, run INTEGER NOT NULL, task INTEGER NOT NULL, attempt INTEGER NOT NULL,
        number INTEGER NOT NULL, output NOT NULL, text, messages NOT NULL, finish_reason TEXT NOT NULL,
        model TEXT NOT NULL, answered_by TEXT NOT NULL, endpoint TEXT NOT NULL, input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL, cached_input_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL, usage_estimated INTEGER NOT NULL, duration REAL NOT NULL,
        first_token REAL, request_id TEXT NOT NULL, key TEXT NOT NULL, created_at REAL NOT NULL,
        UNIQUE (run, task, attempt));
INSERT INTO "answers" VALUES(1,1,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,1.90313003258779644966e-04,NULL,'','e3cd7344e06439bfdd3cd2abfcb0e758e0126142740930b15eb7cd2e99bc8818',1.79555293475766062738e+09);
INSERT INTO "answers" VALUES(2,1,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,2.31415000598644837737e-04,NULL,'','28c7ea15529d0e88741914556cfabd4aaf73749dc6563caabcfffa93cd92e0e6',1.7955529347826347351e+09);
INSERT INTO "answers" VALUES(3,1,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,5.36299994564615190029e-05,NULL,'','0e1956d0c2554962f48f5f52fa7a8caa1970871b02ba1411aebf47031a313bf6',1.79555293478279447551e+09);
INSERT INTO "answers" VALUES(4,1,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,4.36049995187204331159e-05,NULL,'','f82dbf9f574ff8c9d09ee0c7195a50f19a2db4835439de054b89359f60f308de',1.79555293478287148478e+09);
INSERT INTO "answers" VALUES(5,1,3,7,1,'"B"',NULL,'[{"role":"user","content":"two A"}]','stop','mock/m','m','',1,1,0,0,0,1,2.24093000724678859114e-04,NULL,'','9fa69b8dec295d7f0941482b2b60b2217d1f2ae4acd948aba89bfb025b853b58',1.79555293479054045675e+09);
INSERT INTO "answers" VALUES(6,1,4,8,1,'"C"',NULL,'[{"role":"user","content":"three B"}]','stop','mock/m','m','',2,1,0,0,0,1,0.000159377003001282,NULL,'','c20dc136a60530bb39ee3f8041737fa96b80476a9681f032ec2c8086c34ce2ae',1.79555293480236601824e+09);
INSERT INTO "answers" VALUES(7,2,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,1.7903600019053556025e-04,NULL,'','e3cd7344e06439bfdd3cd2abfcb0e758e0126142740930b15eb7cd2e99bc8818',1.79555293680670380587e+09);
INSERT INTO "answers" VALUES(8,2,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,4.23769997723866254091e-04,NULL,'','28c7ea15529d0e88741914556cfabd4aaf73749dc6563caabcfffa93cd92e0e6',1.79555293682156038278e+09);
INSERT INTO "answers" VALUES(9,2,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,1.18144998850766569375e-04,NULL,'','0e1956d0c2554962f48f5f52fa7a8caa1970871b02ba1411aebf47031a313bf6',1.79555293682185769079e+09);
INSERT INTO "answers" VALUES(10,2,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,5.30290017195511609315e-05,NULL,'','f82dbf9f574ff8c9d09ee0c7195a50f19a2db4835439de054b89359f60f308de',1.79555293682195734978e+09);
INSERT INTO "answers" VALUES(11,3,0,1,1,'"A"',NULL,'[{"role":"user","content":"Go to Rome"}]','stop','mock/m','m','',3,1,0,0,0,1,2.30473000556230545043e-04,NULL,'','e3cd7344e06439bfdd3cd2abfcb0e758e0126142740930b15eb7cd2e99bc8818',1.79555293842616724969e+09);
INSERT INTO "answers" VALUES(12,3,5,4,1,'"X"',NULL,'[{"role":"user","content":"x of A"}]','stop','mock/m','m','',2,1,0,0,0,1,9.73240021266974508762e-05,NULL,'','28c7ea15529d0e88741914556cfabd4aaf73749dc6563caabcfffa93cd92e0e6',1.79555293842762398719e+09);
INSERT INTO "answers" VALUES(13,3,6,5,1,'"Y"',NULL,'[{"role":"user","content":"y of A"}]','stop','mock/m','m','',2,1,0,0,0,1,5.09359997522551566362e-05,NULL,'','0e1956d0c2554962f48f5f52fa7a8caa1970871b02ba1411aebf47031a313bf6',1.79555293842773818968e+09);
INSERT INTO "answers" VALUES(14,3,7,6,1,'"Z"',NULL,'[{"role":"user","content":"z of A"}]','stop','mock/m','m','',2,1,0,0,0,1,4.37550006608944386243e-05,NULL,'','f82dbf9f574ff8c9d09ee0c7195a50f19a2db4835439de054b89359f60f308de',1.79555293842781567574e+09);
CREATE TABLE events (
        run INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, at REAL NOT NULL,
        f1, f2, f3, f4, f5, f6, f7, PRIMARY KEY (run, seq)) WITHOUT ROWID;
INSERT INTO "events" VALUES(1,1,1,3.35189979523420333862e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,2,11,3.35189979523420333862e-05,0,1,1,0,0,0,0);
INSERT INTO "events" VALUES(1,3,3,2.05845299933571368455e-03,0,1,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,4,14,2.05845299933571368455e-03,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,5,11,2.05845299933571368455e-03,1,2,1,-1,0,0,0);
INSERT INTO "events" VALUES(1,6,11,2.05845299933571368455e-03,2,3,1,-1,0,0,0);
INSERT INTO "events" VALUES(1,7,3,2.17258299744571559131e-03,1,2,'expand',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,8,3,2.19392500002868473529e-03,2,3,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,9,14,2.19392500002868473529e-03,2,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,10,6,2.45268999788095243275e-03,1,5,3,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,11,7,2.46353599868598394095e-03,1,'',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,12,11,2.46353599868598394095e-03,5,4,1,0,0,0,0);
INSERT INTO "events" VALUES(1,13,11,2.46353599868598394095e-03,6,5,1,0,0,1,0);
INSERT INTO "events" VALUES(1,14,11,2.46353599868598394095e-03,7,6,1,0,0,2,0);
INSERT INTO "events" VALUES(1,15,3,2.704463799818768166e-02,5,4,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,16,14,2.704463799818768166e-02,5,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,17,3,2.71467099992150906473e-02,6,5,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,18,14,2.71467099992150906473e-02,6,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,19,3,2.72221819977858103811e-02,7,6,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,20,14,2.72221819977858103811e-02,7,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,21,14,2.72221819977858103811e-02,1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,22,11,2.72221819977858103811e-02,3,7,1,0,0,0,0);
INSERT INTO "events" VALUES(1,23,3,3.49377809980069287121e-02,3,7,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,24,14,3.49377809980069287121e-02,3,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,25,11,3.49377809980069287121e-02,4,8,1,0,0,0,0);
INSERT INTO "events" VALUES(1,26,3,4.68118940007116179913e-02,4,8,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,27,14,4.68118940007116179913e-02,4,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(1,28,20,4.68118940007116179913e-02,'succeeded',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,1,1,3.29590002365876e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,2,11,3.29590002365876e-05,0,1,1,0,0,0,0);
INSERT INTO "events" VALUES(2,3,3,3.33592500101076439023e-03,0,1,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,4,14,3.33592500101076439023e-03,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,5,11,3.33592500101076439023e-03,1,2,1,-1,0,0,0);
INSERT INTO "events" VALUES(2,6,11,3.33592500101076439023e-03,2,3,1,-1,0,0,0);
INSERT INTO "events" VALUES(2,7,3,0.00344483699882403,1,2,'expand',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,8,3,3.46601799901691265404e-03,2,3,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,9,14,3.46601799901691265404e-03,2,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,10,6,3.65623199832043610513e-03,1,5,3,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,11,7,3.66693799878703430294e-03,1,'',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,12,11,3.66693799878703430294e-03,5,4,1,0,0,0,0);
INSERT INTO "events" VALUES(2,13,11,3.66693799878703430294e-03,6,5,1,0,0,1,0);
INSERT INTO "events" VALUES(2,14,11,3.66693799878703430294e-03,7,6,1,0,0,2,0);
INSERT INTO "events" VALUES(2,15,3,1.8233958999189781025e-02,5,4,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,16,14,1.8233958999189781025e-02,5,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,17,3,1.84609169991745147854e-02,6,5,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,18,14,1.84609169991745147854e-02,6,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,19,3,1.85500599982333369553e-02,7,6,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,20,14,1.85500599982333369553e-02,7,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,21,14,1.85500599982333369553e-02,1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,22,11,1.85500599982333369553e-02,3,7,1,0,0,0,0);
INSERT INTO "events" VALUES(2,23,4,2.36843109996698331087e-02,3,7,'server','a scripted failure of the task ''b''',NULL,1,NULL);
INSERT INTO "events" VALUES(2,24,15,2.36843109996698331087e-02,3,'server','a scripted failure of the task ''b''',0,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,25,17,2.36843109996698331087e-02,4,3,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,26,20,2.36843109996698331087e-02,'failed',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,1,1,4.5818000216968357563e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,2,11,4.5818000216968357563e-05,0,1,1,0,0,0,0);
INSERT INTO "events" VALUES(3,3,3,1.87657300193677656352e-03,0,1,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,4,14,1.87657300193677656352e-03,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,5,11,1.87657300193677656352e-03,1,2,1,-1,0,0,0);
INSERT INTO "events" VALUES(3,6,11,1.87657300193677656352e-03,2,3,1,-1,0,0,0);
INSERT INTO "events" VALUES(3,7,3,2.0028409999213181436e-03,1,2,'expand',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,8,3,2.02751700271619483828e-03,2,3,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,9,14,2.02751700271619483828e-03,2,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,10,6,2.23946299956878647208e-03,1,5,3,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,11,7,2.25002899969695135951e-03,1,'',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,12,11,2.25002899969695135951e-03,5,4,1,0,0,0,0);
INSERT INTO "events" VALUES(3,13,11,2.25002899969695135951e-03,6,5,1,0,0,1,0);
INSERT INTO "events" VALUES(3,14,11,2.25002899969695135951e-03,7,6,1,0,0,2,0);
INSERT INTO "events" VALUES(3,15,3,3.30962600128259509801e-03,5,4,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,16,14,3.30962600128259509801e-03,5,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,17,3,3.40171300194924697279e-03,6,5,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,18,14,3.40171300194924697279e-03,6,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,19,3,3.48273300187429413199e-03,7,6,'done',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,20,14,3.48273300187429413199e-03,7,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,21,14,3.48273300187429413199e-03,1,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,22,11,3.48273300187429413199e-03,3,7,1,0,0,0,0);
CREATE TABLE kinds (kind INTEGER PRIMARY KEY, name TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (name, fields));
INSERT INTO "kinds" VALUES(1,'RunStarted','["at"]');
INSERT INTO "kinds" VALUES(2,'RunResumed','["at"]');
INSERT INTO "kinds" VALUES(3,'AttemptSucceeded','["at", "task", "attempt", "outcome"]');
INSERT INTO "kinds" VALUES(4,'AttemptFailed','["at", "task", "attempt", "kind", "detail", "retry_after", "retryable"]');
INSERT INTO "kinds" VALUES(5,'AttemptCancelled','["at", "task", "attempt", "reason"]');
INSERT INTO "kinds" VALUES(6,'TasksAdded','["at", "parent", "first", "size"]');
INSERT INTO "kinds" VALUES(7,'ItemsClosed','["at", "parent", "problem"]');
INSERT INTO "kinds" VALUES(8,'TimerFired','["at", "timer"]');
INSERT INTO "kinds" VALUES(9,'ApprovalGiven','["at", "task", "approved", "comment"]');
INSERT INTO "kinds" VALUES(10,'StopRequested','["at", "reason", "mode"]');
INSERT INTO "kinds" VALUES(11,'AttemptStarted','["at", "task", "attempt", "number", "pool", "endpoint", "worker", "candidate"]');
INSERT INTO "kinds" VALUES(12,'TimerSet','["at", "timer", "task", "due", "cause"]');
INSERT INTO "kinds" VALUES(13,'CancelRequested','["at", "task", "attempt"]');
INSERT INTO "kinds" VALUES(14,'TaskSucceeded','["at", "task"]');
INSERT INTO "kinds" VALUES(15,'TaskFailed','["at", "task", "kind", "detail", "accepted"]');
INSERT INTO "kinds" VALUES(16,'TaskSkipped','["at", "task"]');
INSERT INTO "kinds" VALUES(17,'TaskBlocked','["at", "task", "cause"]');
INSERT INTO "kinds" VALUES(18,'TaskCancelled','["at", "task", "reason"]');
INSERT INTO "kinds" VALUES(19,'RunPaused','["at", "reason"]');
INSERT INTO "kinds" VALUES(20,'RunFinished','["at", "status"]');
CREATE TABLE runs (
        run INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, path TEXT NOT NULL,
        source TEXT NOT NULL REFERENCES sources (sha256), started_at REAL NOT NULL, policy TEXT NOT NULL,
        workers INTEGER, seed INTEGER NOT NULL, inputs NOT NULL, options NOT NULL, pools NOT NULL, forecast,
        version TEXT NOT NULL, status TEXT NOT NULL, finished_at REAL, makespan REAL, summary);
INSERT INTO "runs" VALUES(1,'01M87MPYNG2SH77456W5AJ57JT','upgraded','@FOLDER@/p.yaml','a4b7f95505c6df3123e9ff1bad37ec9c46f98bc4cf50b961762634c0341df4d0',1.7955529345761418342e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"decision":{"policy":"stochastic","order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','succeeded',1.79555293482233834269e+09,4.68118940007116179913e-02,'{"schema":"llmflow.run/1","run":"01M87MPYNG2SH77456W5AJ57JT","status":"succeeded","outputs":{"all":"A! X Y Z C"},"makespan":0.04681189400071162,"lower_bound":0.046373292003409006,"lower_bound_kind":"critical path","ratio":1.0094580733511516,"fifo_makespan":0.046373292003409006,"critical_path":["a","each[z]","each","b","c"],"pools":[{"name":"mock","workers":null,"busy":0.09563756800343981,"utilisation":0.6810061847528605,"used":[{"worker":0,"busy":0.04619574800381088,"utilisation":0.9868378323489458},{"worker":1,"busy":0.024683174000529107,"utilisation":0.5272842410553583},{"worker":2,"busy":0.024758645999099826,"utilisation":0.5288964808542772}]}],"tasks":{"a":{"status":"succeeded","attempts":1,"duration":0.0020249340013833717,"started":3.351899795234203e-05,"finished":0.0020584529993357137,"usage":{"input_tokens":3,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.0020584529993357137,"finished":0.02722218199778581},"shape":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.0020584529993357137,"finished":0.0021939250000286847},"b":{"status":"succeeded","attempts":1,"duration":0.007715599000221118,"started":0.02722218199778581,"finished":0.03493778099800693,"usage":{"input_tokens":1,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"c":{"status":"succeeded","attempts":1,"duration":0.01187411300270469,"started":0.03493778099800693,"finished":0.04681189400071162,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each[x]":{"status":"succeeded","attempts":1,"duration":0.024581101999501698,"started":0.002463535998685984,"finished":0.02704463799818768,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each[y]":{"status":"succeeded","attempts":1,"duration":0.024683174000529107,"started":0.002463535998685984,"finished":0.02714670999921509,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each[z]":{"status":"succeeded","attempts":1,"duration":0.024758645999099826,"started":0.002463535998685984,"finished":0.02722218199778581,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}}},"usage":{"input_tokens":12,"output_tokens":6,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true},"cost_usd":null}');
INSERT INTO "runs" VALUES(2,'01M87MQ0PHASNZHCXS4SXQZ4FH','upgraded','@FOLDER@/p.yaml','5f7760406197f72efcad682a2cef85c1ee73cf31375cbbda64a71cb952b15e52',1.79555293665748429295e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"makespan":0.0006833330068426828,"samples":0,"p10":null,"p50":null,"p90":null,"decision":{"policy":"stochastic","order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','failed',1.79555293685313415528e+09,2.36843109996698331087e-02,'{"schema":"llmflow.run/1","run":"01M87MQ0PHASNZHCXS4SXQZ4FH","status":"failed","outputs":{"all":null},"makespan":0.023684310999669833,"lower_bound":0.023320339001656976,"lower_bound_kind":"critical path","ratio":1.0156074917258706,"fifo_makespan":0.023320339001656976,"critical_path":["a","each[z]","each","b"],"pools":[{"name":"mock","workers":null,"busy":0.0526813390024472,"utilisation":0.7414379221077558,"used":[{"worker":0,"busy":0.02300423800261342,"utilisation":0.9712859286020229},{"worker":1,"busy":0.01479397900038748,"utilisation":0.6246320190861248},{"worker":2,"busy":0.014883121999446303,"utilisation":0.6283958186351201}]}],"tasks":{"a":{"status":"succeeded","attempts":1,"duration":0.003302966000774177,"started":3.29590002365876e-05,"finished":0.0033359250010107644,"usage":{"input_tokens":3,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.0033359250010107644,"finished":0.018550059998233337},"shape":{"status":"succeeded","attempts":1,"duration":0.0,"started":0.0033359250010107644,"finished":0.0034660179990169127},"b":{"status":"failed","attempts":1,"duration":0.005134251001436496,"started":0.018550059998233337,"finished":0.023684310999669833,"error":{"kind":"server","detail":"a scripted failure of the task ''b''","accepted":false}},"c":{"status":"blocked","attempts":0,"duration":0.0,"started":null,"finished":0.023684310999669833},"each[x]":{"status":"succeeded","attempts":1,"duration":0.014567021000402747,"started":0.0036669379987870343,"finished":0.01823395899918978,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each[y]":{"status":"succeeded","attempts":1,"duration":0.01479397900038748,"started":0.0036669379987870343,"finished":0.018460916999174515,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}},"each[z]":{"status":"succeeded","attempts":1,"duration":0.014883121999446303,"started":0.0036669379987870343,"finished":0.018550059998233337,"usage":{"input_tokens":2,"output_tokens":1,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true}}},"usage":{"input_tokens":9,"output_tokens":4,"cached_input_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":true},"cost_usd":null}');
INSERT INTO "runs" VALUES(3,'01M87MQ2BMHJC5GCHMGB18JQTG','upgraded','@FOLDER@/p.yaml','b66611ac6d4a364a3278fd9a2d502349808e6e7e5d51f1154aae5b5c3818a7ba',1.79555293835638928416e+09,'stochastic',NULL,0,'{"place":"Rome"}','{"inputs":[],"workers":null,"policy":null,"models":[],"fail_fast":false,"only":[],"start":[],"until":[]}','[["mock",null,[]]]','{"makespan":0.0007220768384286202,"samples":0,"p10":null,"p50":null,"p90":null,"decision":{"policy":"stochastic","order":"critical-path","reason":"there is a worker for every task: the order does not matter","samples":0,"evidence":[]}}','0.1.0','running',NULL,NULL,NULL);
CREATE TABLE samples (
        sample INTEGER PRIMARY KEY, series INTEGER NOT NULL, run INTEGER NOT NULL, item TEXT, number INTEGER NOT NULL,
        outcome TEXT NOT NULL, duration REAL NOT NULL, started_at REAL NOT NULL, concurrency INTEGER NOT NULL,
        prompt_chars INTEGER, input_tokens INTEGER, output_tokens INTEGER, first_token REAL);
INSERT INTO "samples" VALUES(1,1,1,NULL,1,'succeeded',1.90313003258779644966e-04,1.79555293457792425155e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(2,2,1,'x',1,'succeeded',2.31415000598644837737e-04,1.79555293460285377502e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(3,2,1,'y',1,'succeeded',5.36299994564615190029e-05,1.79555293460320973403e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(4,2,1,'z',1,'succeeded',4.36049995187204331159e-05,1.795552934603297472e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(5,3,1,NULL,1,'succeeded',2.24093000724678859114e-04,1.79555293461076569561e+09,1,5,1,1,NULL);
INSERT INTO "samples" VALUES(6,4,1,NULL,1,'succeeded',0.000159377003001282,1.79555293462266254422e+09,1,7,2,1,NULL);
INSERT INTO "samples" VALUES(7,1,2,NULL,1,'succeeded',1.7903600019053556025e-04,1.79555293666056132312e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(8,2,2,'x',1,'succeeded',4.23769997723866254091e-04,1.79555293667516708373e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(9,2,2,'y',1,'succeeded',1.18144998850766569375e-04,1.79555293667578721051e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(10,2,2,'z',1,'succeeded',5.30290017195511609315e-05,1.79555293667595648765e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(11,3,2,NULL,1,'server',5.13425100143649615347e-03,1.79555293667603445059e+09,1,NULL,NULL,NULL,NULL);
INSERT INTO "samples" VALUES(12,1,3,NULL,1,'succeeded',2.30473000556230545043e-04,1.79555293835794782639e+09,1,10,3,1,NULL);
INSERT INTO "samples" VALUES(13,2,3,'x',1,'succeeded',9.73240021266974508762e-05,1.79555293835954976082e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(14,2,3,'y',1,'succeeded',5.09359997522551566362e-05,1.79555293835971474646e+09,1,6,2,1,NULL);
INSERT INTO "samples" VALUES(15,2,3,'z',1,'succeeded',4.37550006608944386243e-05,1.7955529383597993851e+09,1,6,2,1,NULL);
CREATE TABLE series (
        series INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, task TEXT NOT NULL, model TEXT NOT NULL,
        kind TEXT NOT NULL, endpoint TEXT NOT NULL, template TEXT NOT NULL,
        UNIQUE (pipeline, task, model, kind, endpoint, template));
INSERT INTO "series" VALUES(1,'upgraded','a','mock/m','mock','','9c71a22fa74c1630');
INSERT INTO "series" VALUES(2,'upgraded','each','mock/m','mock','','3487dfd31346058f');
INSERT INTO "series" VALUES(3,'upgraded','b','mock/m','mock','','07ad79748e7a8a05');
INSERT INTO "series" VALUES(4,'upgraded','c','mock/m','mock','','da24b599fabd6b78');
CREATE TABLE sources (sha256 TEXT PRIMARY KEY, text NOT NULL) WITHOUT ROWID;
INSERT INTO "sources" VALUES('5f7760406197f72efcad682a2cef85c1ee73cf31375cbbda64a71cb952b15e52','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: {error: server}, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
INSERT INTO "sources" VALUES('a4b7f95505c6df3123e9ff1bad37ec9c46f98bc4cf50b961762634c0341df4d0','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: B, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
INSERT INTO "sources" VALUES('b66611ac6d4a364a3278fd9a2d502349808e6e7e5d51f1154aae5b5c3818a7ba','name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: {text: B, delay: 60}, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join('' '') }} {{ tasks.c.output }}"}
');
CREATE TABLE tasks (
        run INTEGER NOT NULL, task INTEGER NOT NULL, name TEXT NOT NULL, item TEXT, kind TEXT NOT NULL,
        model TEXT NOT NULL, dependencies TEXT NOT NULL, PRIMARY KEY (run, task)) WITHOUT ROWID;
INSERT INTO "tasks" VALUES(1,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(1,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(1,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(1,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(1,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(1,7,'each','z','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(2,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(2,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(2,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(2,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(2,7,'each','z','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,0,'a',NULL,'model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,1,'each',NULL,'foreach','','[0]');
INSERT INTO "tasks" VALUES(3,2,'shape',NULL,'value','','[0]');
INSERT INTO "tasks" VALUES(3,3,'b',NULL,'model','mock/m','[0, 1]');
INSERT INTO "tasks" VALUES(3,4,'c',NULL,'model','mock/m','[3]');
INSERT INTO "tasks" VALUES(3,5,'each','x','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,6,'each','y','model','mock/m','[]');
INSERT INTO "tasks" VALUES(3,7,'each','z','model','mock/m','[]');
CREATE INDEX runs_of_pipeline ON runs (pipeline, started_at);
CREATE INDEX answers_by_key ON answers (key) WHERE key <> '';
CREATE INDEX series_of_model ON series (model);
CREATE INDEX samples_of_series ON samples (series, outcome, started_at);
COMMIT;
